"""State of criteria writing: what the stage starts from, what its nodes hand on, what it gives."""

import operator
from typing import Annotated, TypedDict

from quillgraph.agents.criteria.validation import Finding, Trial
from quillgraph.agents.criteria.writer import Slot
from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    Criterion,
    Draft,
    Dropped,
    Incident,
    Memo,
    Tier,
    WritingTask,
)
from quillgraph.agents.memory.known_criteria import Consulted, Suggestion
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.graphs.study.state import merged


class Weighed(TypedDict):
    """What the stage starts from."""

    task: WritingTask
    constraints: tuple[Constraint, ...]
    incidents: list[Incident]
    drafts: list[Draft]
    codes: tuple[Code, ...]
    categories: tuple[Category, ...]
    core: Core
    tiers: dict[str, Tier]
    consulted: Consulted
    """What the library suggests; absent where there is none."""


class Written(TypedDict):
    """What the stage gives."""

    slots: tuple[Slot, ...]
    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    trials: Annotated[dict[str, Trial], merged]
    findings: Annotated[list[Finding], operator.add]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class CriteriaWriting(Weighed, Written):
    """State of the stage."""

    spare: tuple[Slot, ...]
    versions: Annotated[dict[str, Criterion], merged]
    """Slot id to the latest version of its criterion."""
    refused: dict[str, Finding]
    """Slot id to what was wrong with the latest version."""
    repairs: int


class OneSlot(TypedDict):
    """Input of one writing."""

    task: WritingTask
    slot: Slot
    incidents: list[Incident]
    storyline: str
    taken: list[str]
    complaint: str
    suggestions: tuple[Suggestion, ...]


class OneTrial(TypedDict):
    """Input of one trial."""

    task: WritingTask
    criterion: Criterion
    drafts: list[Draft]


class Plan(TypedDict):
    """What `lay_out` writes."""

    slots: tuple[Slot, ...]
    spare: tuple[Slot, ...]
    repairs: int
    dropped: list[Dropped]


class NewVersion(TypedDict):
    """What `write` writes."""

    versions: dict[str, Criterion]
    dropped: list[Dropped]


class Refusals(TypedDict):
    """What `examine` and `weigh` write."""

    refused: dict[str, Finding]
    findings: list[Finding]


class NewTrial(TypedDict):
    """What `try_criterion` writes."""

    trials: dict[str, Trial]
    dropped: list[Dropped]


class Weighing(Refusals):
    """What `weigh` writes."""

    memos: list[Memo]


class Repair(TypedDict):
    """What `repair` writes."""

    slots: tuple[Slot, ...]
    spare: tuple[Slot, ...]
    repairs: int


class Final(TypedDict):
    """What `settle` writes."""

    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    memos: list[Memo]
    dropped: list[Dropped]


def current_criteria(state: CriteriaWriting) -> list[Criterion]:
    """The latest version of each slot's criterion, in the order of the slots."""
    versions = state.get("versions", {})
    return [versions[slot.id] for slot in state["slots"] if slot.id in versions]


def version_of(criterion: Criterion) -> str:
    """Say which version of a criterion this is: rewritten, it has to be tried again."""
    return criterion.model_dump_json()


def latest_trials(state: CriteriaWriting) -> dict[str, Trial]:
    """Criterion id to the trial of its latest version, where that has been tried."""
    trials = state.get("trials", {})
    return {c.id: trials[version_of(c)] for c in current_criteria(state) if version_of(c) in trials}
