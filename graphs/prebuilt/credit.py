"""Credit the library's criteria with the scores of judged texts."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from langchain_core.runnables.config import ensure_config

from quillgraph.agents.domain import CriteriaSet, Dropped
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.memory import scores_of
from quillgraph.backends.errors import StorageError
from quillgraph.graphs.memory.library import Library

STAGE = "library"


def scores_by_id(
    criteria_set: CriteriaSet, judgements: Iterable[Judgement]
) -> dict[str, tuple[float, ...]]:
    """Collect the scores of a group of texts by the canonical ids of their criteria.

    The set's stats map its criteria to canonical ids; the set's hash does not cover them.
    Criteria that the library does not hold, and missing verdicts, are left out.
    """
    ids = criteria_set.stats.get("library", {}).get("ids", {})
    scores = scores_of(criteria_set.criteria, judgements)
    return {ids[at]: each for at, each in scores.items() if each and at in ids}


async def credit(
    criteria_set: CriteriaSet, judgements: Iterable[Judgement], library: Library | None
) -> list[Dropped]:
    """Report the scores of a group of texts to the library, once for each task of a graph.

    A task that is killed before its checkpoint, or retried, calls this a second time.

    Returns:
        The criteria that these scores retired, and the scores that a failing library lost.
    """
    if library is None:
        return []
    scores = scores_by_id(criteria_set, judgements)
    try:
        retired = await library.credit(scores, datetime.now(UTC).isoformat(), _task())
    except StorageError as error:  # a full disk must not cost the finished texts
        return [Dropped(stage=STAGE, agent=STAGE, reason=str(error), text="the scores")]
    return [
        Dropped(stage=STAGE, agent=STAGE, reason=str(each.retired), text=each.name)
        for each in retired
    ]


def _task() -> str | None:
    """LangGraph's name of the current task, the same after a resume; None outside a graph."""
    place = ensure_config().get("configurable", {}).get("checkpoint_ns")
    return hashlib.sha256(place.encode()).hexdigest()[:16] if place else None
