"""One text, one criterion, one score: how the validator tries its criteria out."""

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
"""How much of a text is read: enough to tell drafts apart."""


class Score(BaseModel):
    """A judge's answer."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[int, Field(ge=1, le=10), NO_BOOLEAN]


async def score_trial(task: WritingTask, text: str, criterion: Criterion, role: Role) -> int:
    """Score a text from 1 to 10 on one soft or pitfall criterion.

    The text stands before the criterion in the prompt, so that an engine's prefix cache reads it
    once for all criteria.

    Raises:
        ReplyError: If the judge gives no score.
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
    """Score the drafts on a criterion, and the degenerate texts on a soft one.

    Returns:
        The scores, None where a reply could not be read, and those replies.
    """
    texts = {draft.id: draft.text for draft in drafts}
    probes = probes_for(task, criterion) if criterion.kind == "soft" else {}
    losses: list[Dropped] = []

    async def scored(text: str) -> int | None:
        try:
            return await score_trial(task, text, criterion, role)
        except ReplyError as error:
            losses.append(lost_reply("trial", role, error))
            return None

    every = [*texts.values(), *probes.values()]
    scores = await side_by_side(map(scored, every))
    trial = Trial(
        criterion_id=criterion.id,
        drafts=dict(zip(texts, scores, strict=False)),
        probes=dict(zip(probes, scores[len(texts) :], strict=True)),
    )
    return trial, tuple(losses)
