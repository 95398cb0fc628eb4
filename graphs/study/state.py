"""Who takes part in a study of a writing request, and what passes between its stages."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from annotated_types import Ge
from langchain_core.embeddings import Embeddings

from quillgraph.agents.criteria import CriterionRefusal, Slot, Trial
from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    CriteriaSet,
    Criterion,
    Draft,
    Dropped,
    Incident,
    Memo,
    Relation,
    Tier,
    Value,
    WritingTask,
)
from quillgraph.agents.memory import Consulted, LibraryUpdate, Suggestion
from quillgraph.agents.requests import Constraint
from quillgraph.agents.role import Role
from quillgraph.graphs.episodes.context import StructuredRole
from quillgraph.graphs.memory.library import Library

ROLES = (
    "sampler",
    "observer",
    "coder",
    "comparator",
    "axial_coder",
    "selective_coder",
    "criteria_writer",
    "validator",
)
"""The parts of the Grounded-Theory workflow that a model plays."""


@dataclass(frozen=True, slots=True)
class Study:
    """The run-time context of the graphs: one role per part, and the measures of the study.

    Make it with `cast(Study, …)`; pass it as `context=` when a graph is invoked.
    """

    sampler: Role
    observer: StructuredRole
    coder: StructuredRole
    comparator: StructuredRole
    axial_coder: StructuredRole
    selective_coder: StructuredRole
    criteria_writer: StructuredRole
    validator: StructuredRole
    embeddings: Embeddings
    """Serves constant comparison."""
    library: Library | None = None
    """What criteria are compared with and left to; None: with and to nothing."""
    contrast: bool = False
    """Whether weights follow what the criteria have told apart: the drafts of this study, and in
    the library those of others."""
    drafts: Annotated[int, Ge(0)] = 4
    """Drafts to sample and read; 0 studies the request alone."""
    draft_tokens: int = 160
    """Longest draft; a beginning shows how a text goes about it."""


class CodingRound(Value):
    """One round of open coding, as the saturation trace shows it."""

    round: int
    incidents: int
    new_codes: int
    codes: int
    """Codes in the book after the round."""
    ratio: float | None
    """New-information ratio; None before there is enough data to tell."""
    saturated: bool


class Grounding(TypedDict, total=False):
    """State of the whole workflow, from the request to its criteria."""

    task: WritingTask
    consulted: Consulted
    """What the library said of the request; absent where there is none."""
    constraints: tuple[Constraint, ...]
    incidents: Annotated[list[Incident], operator.add]
    drafts: Annotated[list[Draft], operator.add]
    codes: tuple[Code, ...]
    coded: tuple[str, ...]
    """Ids of the incidents that have been coded, in order."""
    new_codes: tuple[int, ...]
    """How many new codes each of them brought."""
    saturation: tuple[CodingRound, ...]
    categories: tuple[Category, ...]
    relations: tuple[Relation, ...]
    core: Core
    tiers: dict[str, Tier]
    slots: tuple[Slot, ...]
    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    """Ids of the criteria that are kept although they were refused."""
    kept: LibraryUpdate
    """What became of the criteria in the library; absent where there is none."""
    trials: dict[str, Trial]
    findings: Annotated[list[CriterionRefusal], operator.add]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]
    criteria_set: CriteriaSet


def suggestions_of(state: Mapping[str, Any]) -> tuple[Suggestion, ...]:
    """What the library suggests in a study; nothing where there is none."""
    consulted = state.get("consulted")
    return consulted.suggestions if isinstance(consulted, Consulted) else ()


def latest_trials(state: Mapping[str, Any]) -> dict[str, Trial]:
    """The last trial of each criterion, by its id."""
    return {trial.criterion_id: trial for trial in state.get("trials", {}).values()}


def merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Reducer: later entries replace earlier ones of the same key."""
    return {**left, **right}
