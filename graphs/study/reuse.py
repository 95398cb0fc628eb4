"""Use the criteria library in a study: get suggestions from it, and save criteria to it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypedDict

from langgraph.runtime import Runtime

from quillgraph.agents.criteria import Trial, trusted_scores
from quillgraph.agents.domain import Criterion, Dropped, Memo, WritingTask
from quillgraph.agents.grounded_theory import Pair, agreed, ask_sameness
from quillgraph.agents.judgements import judged
from quillgraph.agents.memory import Consulted, KnownCriterion, LibraryUpdate
from quillgraph.agents.role import Role, side_by_side
from quillgraph.backends.errors import BudgetReached, StorageError
from quillgraph.graphs.memory.library import Library, Passed
from quillgraph.graphs.study.state import Study, latest_trials

STAGE = "library"


class ConsultInput(TypedDict):
    """Input of `consult`."""

    task: WritingTask


class ConsultUpdate(TypedDict, total=False):
    """What `consult` writes; nothing without a library."""

    consulted: Consulted


class ShelveInput(TypedDict, total=False):
    """Input of `shelve`."""

    task: WritingTask
    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    trials: dict[str, Trial]


class ShelveUpdate(TypedDict, total=False):
    """What `shelve` writes; nothing without a library."""

    kept: LibraryUpdate
    memos: list[Memo]
    dropped: list[Dropped]


async def consult(state: ConsultInput, runtime: Runtime[Study]) -> ConsultUpdate:
    """Ask the library for criteria of similar requests, to compare with."""
    library = runtime.context.library
    return {} if library is None else {"consulted": await library.suggest(state["task"])}


async def shelve(state: ShelveInput, runtime: Runtime[Study]) -> ShelveUpdate:
    """Save the criteria that passed validation to the library.

    If the library fails, the study itself stands: it loses its entries there and reports that.
    """
    study = runtime.context
    if study.library is None:
        return {}
    valid = [c for c in judged(state["criteria"]) if c.id not in state.get("spared", ())]
    try:
        same, dropped = await same_as_known(valid, state["task"], study.library, study.comparator)
        scores = trusted_scores(valid, latest_trials(state))
        entries = [Passed(c, same.get(c.id), scores.get(c.id, ())) for c in valid]
        now = datetime.now(UTC).isoformat()
        update = await study.library.keep(entries, state["task"], now)
    except (StorageError, BudgetReached) as error:
        drop = Dropped(stage=STAGE, agent=STAGE, reason=str(error), text="the criteria")
        return {"dropped": [drop]}
    return {"kept": update, "memos": _memos(update), "dropped": list(dropped)}


async def same_as_known(
    criteria: Sequence[Criterion], task: WritingTask, library: Library, comparator: Role
) -> tuple[dict[str, str], tuple[Dropped, ...]]:
    """Match criteria with those of the library: similar, and of the same name or meaning.

    In doubt, two criteria stay separate, as in RubricHub (arXiv:2601.08430).

    Returns:
        Canonical id by criterion id, and the comparator's unusable replies.
    """
    twins = await library.twins(criteria, task)
    candidates = {c.id: c for c in criteria if c.id in twins}
    same = {at: twins[at].id for at, c in candidates.items() if _is_named(twins[at], c)}
    pairs = [Pair(f"p{number}", at, twins[at].id) for number, at in enumerate(candidates, 1)]
    open_pairs = [pair for pair in pairs if pair.left not in same]
    descriptions = {at: (each.name, each.description) for at, each in candidates.items()}
    descriptions |= {twin.id: (twin.name, twin.description) for twin in twins.values()}
    size = comparator.items_per_call
    chunks = [open_pairs[start : start + size] for start in range(0, len(open_pairs), size)]
    answers = await side_by_side(ask_sameness(c, descriptions, comparator, STAGE) for c in chunks)
    same_pairs = {pair for answer in answers for pair in agreed(answer)}
    same |= {pair.left: pair.right for pair in open_pairs if pair.id in same_pairs}
    return same, tuple(drop for answer in answers for drop in answer.dropped)


def _is_named(known: KnownCriterion, criterion: Criterion) -> bool:
    names = {name.casefold() for name in (known.name, *known.aliases)}
    return criterion.name.casefold() in names


def _memos(update: LibraryUpdate) -> list[Memo]:
    texts = [
        f"{len(update.reused)} of {len(update.ids)} criteria were known from other requests",
        *(f"{each.name!r} is suggested no more; {each.retired}" for each in update.retired),
    ]
    return [Memo(stage=STAGE, round=1, agent=STAGE, text=text) for text in texts]
