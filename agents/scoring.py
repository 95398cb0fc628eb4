"""One text, one criterion, one score: how the validator tries its criteria out."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from quillgraph.agents.asking import Role, ask
from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.prompting import render

MOST_TEXT_CHARS = 1_500
"""How much of a text is read: enough to tell drafts apart."""


class Score(BaseModel):
    """A judge's answer."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[int, Field(ge=1, le=10)]


async def score(task: WritingTask, text: str, criterion: Criterion, role: Role) -> int:
    """Score a text from 1 to 10 on one soft or pitfall criterion.

    The text stands before the criterion in the prompt, so that an engine's prefix cache reads it
    once for all criteria.

    Raises:
        ReplyError: If the judge gives no score.
    """
    levels = "\n".join(f"{band}: {said}" for band, said in criterion.levels.items())
    reply: Any = await ask(
        role,
        render(
            "scoring",
            request=role.brief(task),
            text=text[:MOST_TEXT_CHARS],
            criterion=f"Criterion: {criterion.name}. {criterion.description}\n{levels}",
        ),
        Score,
        item=f"{criterion.name}/{text}",
        temperature=0.0,
        max_tokens=16,
    )
    return int(reply.score)
