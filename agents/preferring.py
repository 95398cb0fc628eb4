"""Which of two texts for a request is the better one, asked without any criteria.

A policy that learns from criteria may learn to please them and nobody else. A comparison that
does not know them is the alarm (`ALGORITHM.md` 6.3.11).
"""

import asyncio
import hashlib
from itertools import count
from typing import Literal

from pydantic import BaseModel, ConfigDict

from quillgraph.agents.asking import Role, ask
from quillgraph.agents.domain import WritingTask
from quillgraph.agents.prompting import render
from quillgraph.backends.errors import ReplyError


class Choice(BaseModel):
    """A judge's answer."""

    model_config = ConfigDict(extra="forbid")

    better: Literal["A", "B"]


async def prefers(task: WritingTask, text: str, other: str, role: Role) -> bool | None:
    """Ask whether a text is better than another, in both orders.

    Returns:
        True or False where both orders agree; None where they do not, or one could not be read:
        a judge who goes by the place has said nothing.
    """
    if text == other:
        return None
    first, second = await asyncio.gather(
        _chosen(task, text, other, role), _chosen(task, other, text, role)
    )
    if first is None or second is None or first == second:
        return None
    return first == "A"


async def _chosen(
    task: WritingTask, first: str, second: str, role: Role
) -> Literal["A", "B"] | None:
    marks = (hashlib.sha256(f"{n}/{first}/{second}".encode()).hexdigest()[:8] for n in count())
    mark = next(mark for mark in marks if mark not in first + second)
    prompt = render("preferring", request=role.brief(task), mark=mark, first=first, second=second)
    try:
        choice = await ask(role, prompt, Choice, item=mark, temperature=0.0, max_tokens=16)
    except ReplyError:
        return None
    return choice.better
