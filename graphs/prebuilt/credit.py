"""What judged texts tell of the criteria that they were judged by, for the library."""

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
    """Gather the scores of a group of texts by the canonical ids of their criteria.

    Which criterion has which id stands in the set's stats, beside its hash and not under it.
    Criteria that the library never had, and verdicts that are missing, are left out.
    """
    ids = criteria_set.stats.get("library", {}).get("ids", {})
    scores = scores_of(criteria_set.criteria, judgements)
    return {ids[at]: each for at, each in scores.items() if each and at in ids}


async def credit(
    criteria_set: CriteriaSet, judgements: Iterable[Judgement], library: Library | None
) -> list[Dropped]:
    """Let the library know how a group of texts was scored, once for each task of a graph.

    A task that is killed before its checkpoint, or tried again, comes here a second time.

    Returns:
        The criteria that these scores retired, and what a failing library did not get to know.
    """
    if library is None:
        return []
    scores = scores_by_id(criteria_set, judgements)
    try:
        retired = await library.credit(scores, datetime.now(UTC).isoformat(), _task())
    except StorageError as error:  # the texts are there; a full disk must not take them along
        return [Dropped(stage=STAGE, agent=STAGE, reason=str(error), text="the scores")]
    return [
        Dropped(stage=STAGE, agent=STAGE, reason=str(each.retired), text=each.name)
        for each in retired
    ]


def _task() -> str | None:
    """LangGraph's name of the task that is under way, the same after a resume; None outside."""
    place = ensure_config().get("configurable", {}).get("checkpoint_ns")
    return hashlib.sha256(place.encode()).hexdigest()[:16] if place else None
