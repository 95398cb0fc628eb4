"""Save an episode to memory: its texts with their scores, and the lessons drawn from them."""

import hashlib
from datetime import UTC, datetime
from typing import Literal, TypedDict

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judgements import judged
from quillgraph.agents.memory import Contrast, Fate, Lesson, MemoryEntry, apply, consolidate
from quillgraph.agents.role import Role
from quillgraph.backends.errors import BudgetReached
from quillgraph.backends.messages import TokenTrace
from quillgraph.graphs.episodes.episode import Attempt
from quillgraph.graphs.memory.memory import Memory


class Lived(TypedDict):
    """A finished episode."""

    task: WritingTask
    criteria_set: CriteriaSet
    attempts: list[Attempt]
    best: int


class Learned(TypedDict):
    """The lessons of an episode."""

    learned: tuple[Lesson, ...]
    dropped: list[Dropped]


async def learn_from(lived: Lived, memory: Memory, consolidator: Role) -> Learned:
    """Save the texts, which credits the lessons in use, and draw new lessons.

    `ALGORITHM.md` 6.4 draws lessons after every eight episodes; this does so after each one,
    because a user who writes one piece a day would otherwise wait a week for the first.
    """
    now, task = datetime.now(UTC).isoformat(), lived["task"]
    await memory.remember(entries_of(lived, now))
    contrast = contrast_of(lived)
    if contrast is None:
        return {"learned": (), "dropped": []}
    try:
        answers = await consolidate(task, contrast, await memory.lessons(task.genre), consolidator)
    except BudgetReached as error:
        drop = Dropped(stage="consolidation", agent="consolidator", reason=str(error), text="")
        return {"learned": (), "dropped": [drop]}
    # words of the request must not reach later episodes either
    texts = [task.request, *(attempt.text for attempt in lived["attempts"])]

    def change(
        pool: tuple[Lesson, ...],
    ) -> tuple[tuple[Lesson, ...], tuple[tuple[Lesson, ...], tuple[Dropped, ...]]]:
        after, dropped = apply(pool, answers.items, task, now=now, judged_texts=texts)
        return after, (tuple(lesson for lesson in after if lesson not in pool), dropped)

    lessons, dropped = await memory.edit(task.genre, change)
    return {"learned": lessons, "dropped": [*answers.dropped, *dropped]}


def entries_of(lived: Lived, now: str) -> list[MemoryEntry]:
    """Make entries of memory from the attempts, with ids from a hash of the episode.

    The hash keeps an episode from being saved twice, as after an interrupted run. A text without
    a reward gets no entry, because its quality is unknown.
    """
    task, names = lived["task"], _names(lived["criteria_set"])
    whole = "\n".join(attempt.model_dump_json() for attempt in lived["attempts"])
    stem = f"{task.request_hash[:8]}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    return [
        MemoryEntry(
            id=f"{stem}-{attempt.number}",
            request_hash=task.request_hash,
            request=task.request,
            genre=task.genre,
            language=task.language,
            criteria_sha=lived["criteria_set"].sha256,
            kind=_kind(attempt, lived["best"]),
            context_kind="bare" if _is_bare(attempt) else "reflective",
            parent_id=None if attempt.parent is None else f"{stem}-{attempt.parent}",
            text=attempt.text,
            scores=_scores_by_name(attempt, names),
            reward=attempt.reward.value,
            delta=attempt.delta,
            critique=_critique(attempt),
            plan=_plan_lines(attempt),
            lessons=attempt.lessons,
            token_ids=attempt.trace.completion_ids if attempt.trace else (),
            logprobs=_own_logprobs(attempt.trace),
            weights=attempt.trace.weights_version if attempt.trace else None,
            created=now,
        )
        for attempt in lived["attempts"]
        if attempt.reward.value is not None
    ]


def _own_logprobs(trace: TokenTrace | None) -> tuple[float, ...]:
    """Log-probabilities under the model's own distribution; none if the sampling changed it."""
    return () if trace is None or trace.is_bent else trace.logprobs or ()


def contrast_of(lived: Lived) -> Contrast | None:
    """Contrast the best text with the worst; None with fewer than two scored texts."""
    rewarded = [attempt for attempt in lived["attempts"] if attempt.reward.value is not None]
    if len(rewarded) < 2:
        return None
    names, texts = _names(lived["criteria_set"]), {a.number: a for a in lived["attempts"]}
    best, worst = texts[lived["best"]], min(rewarded, key=lambda a: a.reward.value or 0.0)
    return Contrast(
        criteria=tuple(names.values()),
        best=_scores_by_name(best, names),
        worst=_scores_by_name(worst, names),
        revisions=tuple(
            Fate(
                accepted=attempt.decision == "accepted",
                delta=attempt.delta,
                before=_scores_by_name(texts[attempt.parent], names),
                after=_scores_by_name(attempt, names),
                critique=_critique(attempt),
                plan=_plan_lines(attempt),
            )
            for attempt in lived["attempts"]
            if attempt.parent is not None
        ),
    )


def _kind(attempt: Attempt, best: int) -> Literal["success", "error", "revision"]:
    # a text that breaks a demand or was refused is no good example, even if it is the best one
    if attempt.decision == "refused" or attempt.judgement.violated:
        return "error"
    return "success" if attempt.number == best else "revision"


def _is_bare(attempt: Attempt) -> bool:
    """Whether the text was written from the request alone."""
    return attempt.parent is None and not attempt.lessons and not attempt.excerpts


def _names(criteria_set: CriteriaSet) -> dict[str, str]:
    return {criterion.id: criterion.name for criterion in judged(criteria_set.criteria)}


def _scores_by_name(attempt: Attempt, names: dict[str, str]) -> dict[str, float]:
    return {names[criterion]: score for criterion, score in attempt.judgement.scores.items()}


def _critique(attempt: Attempt) -> tuple[str, ...]:
    edits = attempt.plan.edits if attempt.plan else ()
    return tuple(edit.cause for edit in edits)


def _plan_lines(attempt: Attempt) -> tuple[str, ...]:
    edits = attempt.plan.edits if attempt.plan else ()
    return tuple(f"{edit.criterion}: {edit.fix}" for edit in edits)
