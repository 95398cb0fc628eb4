"""A study's use of the criteria library: suggestions to compare with, and criteria to keep."""

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
    """What `consult` starts from."""

    task: WritingTask


class ConsultUpdate(TypedDict, total=False):
    """What `consult` writes; nothing without a library."""

    consulted: Consulted


class ShelveInput(TypedDict, total=False):
    """What `shelve` starts from."""

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
    """Ask the library what the request may be compared with."""
    library = runtime.context.library
    return {} if library is None else {"consulted": await library.suggest(state["task"])}


async def shelve(state: ShelveInput, runtime: Runtime[Study]) -> ShelveUpdate:
    """Save the criteria that passed validation to the library.

    If the library fails now, the study loses only its entries there, and reports the loss.
    """
    study = runtime.context
    if study.library is None:
        return {}
    passed = [c for c in judged(state["criteria"]) if c.id not in state.get("spared", ())]
    try:
        same, dropped = await same_as_known(passed, state["task"], study.library, study.comparator)
        scores = trusted_scores(passed, latest_trials(state))
        handed_in = [Passed(c, same.get(c.id), scores.get(c.id, ())) for c in passed]
        now = datetime.now(UTC).isoformat()
        kept = await study.library.keep(handed_in, state["task"], now)
    except (StorageError, BudgetReached) as error:
        lost = Dropped(stage=STAGE, agent=STAGE, reason=str(error), text="the criteria")
        return {"dropped": [lost]}
    return {"kept": kept, "memos": _memos(kept), "dropped": list(dropped)}


async def same_as_known(
    criteria: Sequence[Criterion], task: WritingTask, library: Library, comparator: Role
) -> tuple[dict[str, str], tuple[Dropped, ...]]:
    """Find which criteria the library knows: near enough, and of the same name or meaning.

    When in doubt they are kept apart, as in RubricHub (arXiv:2601.08430).

    Returns:
        Criterion id to canonical id, and what of the comparator's replies could not be used.
    """
    twins = await library.twins(criteria, task)
    named = {c.id: c for c in criteria if c.id in twins}
    same = {at: twins[at].id for at, c in named.items() if _is_named(twins[at], c)}
    pairs = [Pair(f"p{number}", at, twins[at].id) for number, at in enumerate(named, 1)]
    open_pairs = [pair for pair in pairs if pair.left not in same]
    descriptions = {at: (each.name, each.description) for at, each in named.items()}
    descriptions |= {twin.id: (twin.name, twin.description) for twin in twins.values()}
    size = comparator.items_per_call
    chunks = [open_pairs[start : start + size] for start in range(0, len(open_pairs), size)]
    answers = await side_by_side(ask_sameness(c, descriptions, comparator, STAGE) for c in chunks)
    held = {pair for answer in answers for pair in agreed(answer)}
    same |= {pair.left: pair.right for pair in open_pairs if pair.id in held}
    return same, tuple(lost for answer in answers for lost in answer.dropped)


def _is_named(known: KnownCriterion, criterion: Criterion) -> bool:
    names = {name.casefold() for name in (known.name, *known.aliases)}
    return criterion.name.casefold() in names


def _memos(kept: LibraryUpdate) -> list[Memo]:
    texts = [
        f"{len(kept.reused)} of {len(kept.ids)} criteria were known from other requests",
        *(f"{each.name!r} is suggested no more; {each.retired}" for each in kept.retired),
    ]
    return [Memo(stage=STAGE, round=1, agent=STAGE, text=text) for text in texts]
