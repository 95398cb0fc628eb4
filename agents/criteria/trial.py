"""Trials of a criterion: the validator scores one text on one criterion per call."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from quillgraph.agents.criteria.validation import Trial, probes_for
from quillgraph.agents.domain import Criterion, Draft, Dropped, WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import NO_BOOLEAN
from quillgraph.agents.role import Role, ask, lost_reply, side_by_side
from quillgraph.backends.errors import ReplyError

MOST_TEXT_CHARS = 1_500
"""Characters of a text in the prompt; enough to tell drafts apart."""


class Score(BaseModel):
    """A judge's answer."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[int, Field(ge=1, le=10), NO_BOOLEAN]


async def score_trial(task: WritingTask, text: str, criterion: Criterion, role: Role) -> int:
    """Score a text from 1 to 10 on one soft or pitfall criterion.

    The text comes before the criterion in the prompt, so that an engine's prefix cache computes it
    once for all criteria.

    Raises:
        ReplyError: If the reply holds no score.
    """
    levels = "\n".join(f"{band}: {level}" for band, level in criterion.levels.items())
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


async def try_out(
    task: WritingTask, criterion: Criterion, drafts: Sequence[Draft], role: Role
) -> tuple[Trial, tuple[Dropped, ...]]:
    """Score the drafts on a criterion, and on a soft criterion the degenerate texts too.

    Returns:
        The scores, None for a reply that could not be parsed, and a drop for each such reply.
    """
    texts = {draft.id: draft.text for draft in drafts}
    probes = probes_for(task, criterion) if criterion.kind == "soft" else {}
    drops: list[Dropped] = []

    async def score_of(text: str) -> int | None:
        try:
            return await score_trial(task, text, criterion, role)
        except ReplyError as error:
            drops.append(lost_reply("trial", role, error))
            return None

    all_texts = [*texts.values(), *probes.values()]
    scores = await side_by_side(map(score_of, all_texts))
    trial = Trial(
        criterion_id=criterion.id,
        drafts=dict(zip(texts, scores, strict=False)),
        probes=dict(zip(probes, scores[len(texts) :], strict=True)),
    )
    return trial, tuple(drops)
