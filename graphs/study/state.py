"""Run-time context of a study (`Study`), and the state that its stages share (`Grounding`)."""

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
"""Roles of the Grounded-Theory workflow; a model plays each."""


@dataclass(frozen=True, slots=True)
class Study:
    """The run-time context of the graphs: the roles, and the options of the study.

    Make it with `cast(Study, …)`, and pass it as `context=` to a graph.
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
    """Embeddings for constant comparison."""
    library: Library | None = None
    """Library to compare criteria with and save them to; None for no library."""
    contrast: bool = False
    """Whether a criterion weighs more the better it discriminates between texts: the drafts of
    this study, and the texts of other studies that the library knows of."""
    drafts: Annotated[int, Ge(0)] = 4
    """Number of drafts to sample and observe; 0 studies the request alone."""
    draft_tokens: int = 160
    """Most tokens of a draft; its beginning shows well enough how a text handles the request."""


class CodingRound(Value):
    """One round of open coding, as an entry of the saturation trace."""

    round: int
    incidents: int
    new_codes: int
    codes: int
    """Codes in the codebook after the round."""
    ratio: float | None
    """New-information ratio; None while there is too little data."""
    saturated: bool


class Grounding(TypedDict, total=False):
    """State of the whole workflow, from the request to its criteria."""

    task: WritingTask
    consulted: Consulted
    """The library's suggestions for the request; absent without a library."""
    constraints: tuple[Constraint, ...]
    incidents: Annotated[list[Incident], operator.add]
    drafts: Annotated[list[Draft], operator.add]
    codes: tuple[Code, ...]
    coded: tuple[str, ...]
    """Ids of the coded incidents, in the order of coding."""
    new_codes: tuple[int, ...]
    """Number of new codes from each incident that a coder coded, in the same order."""
    saturation: tuple[CodingRound, ...]
    categories: tuple[Category, ...]
    relations: tuple[Relation, ...]
    core: Core
    tiers: dict[str, Tier]
    slots: tuple[Slot, ...]
    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    """Ids of the criteria that the study keeps although it refused them."""
    kept: LibraryUpdate
    """Result of saving the criteria to the library; absent without a library."""
    trials: dict[str, Trial]
    findings: Annotated[list[CriterionRefusal], operator.add]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]
    criteria_set: CriteriaSet


def suggestions_of(state: Mapping[str, Any]) -> tuple[Suggestion, ...]:
    """The library's suggestions in the state of a study; empty without a library."""
    consulted = state.get("consulted")
    return consulted.suggestions if isinstance(consulted, Consulted) else ()


def latest_trials(state: Mapping[str, Any]) -> dict[str, Trial]:
    """The last trial of each criterion, by its id."""
    return {trial.criterion_id: trial for trial in state.get("trials", {}).values()}


def merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Reducer: later entries replace earlier ones of the same key."""
    return {**left, **right}
