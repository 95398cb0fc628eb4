"""Who takes part in a study of a writing request, and what passes between its stages."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypedDict

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

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
from quillgraph.backends.calls import Budget
from quillgraph.backends.capabilities import require
from quillgraph.backends.errors import ConfigError, nearest
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

FREE_TEXT = {"sampler"}
"""Roles that write prose; all others answer under a JSON schema."""


@dataclass(frozen=True, slots=True)
class Study:
    """The run-time context of the graphs: one role per part, and the measures of the study.

    Build it with `Study.of`; pass it as `context=` when a graph is invoked.
    """

    sampler: Role
    observer: Role
    coder: Role
    comparator: Role
    axial_coder: Role
    selective_coder: Role
    criteria_writer: Role
    validator: Role
    embeddings: Embeddings
    """Serves constant comparison."""
    library: Library | None = None
    """What criteria are compared with and left to; None: with and to nothing."""
    contrast: bool = False
    """Whether weights follow what the criteria have told apart: the drafts of this study, and in
    the library those of others."""
    drafts: int = 4
    """Drafts to sample and read; 0 studies the request alone."""
    draft_tokens: int = 160
    """Longest draft; a beginning shows how a text goes about it."""

    @classmethod
    def of(
        cls,
        model: BaseChatModel,
        embeddings: Embeddings,
        *,
        seed: int = 0,
        budget: Budget | None = None,
        roles: Mapping[str, BaseChatModel] | None = None,
        library: Library | None = None,
        contrast: bool = False,
        drafts: int = 4,
        draft_tokens: int = 160,
    ) -> Self:
        """Give every role the same model, but for those named in `roles`.

        Raises:
            ConfigError: On an unknown role, or a model that lacks what its role needs.
        """
        others = roles or {}
        if unknown := sorted(set(others) - set(ROLES)):
            raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], ROLES)}")
        if drafts < 0:
            raise ConfigError(f"expected 0 or more drafts, got {drafts}")
        shared = budget or Budget()
        parts = {name: Role(name, others.get(name, model), seed, shared) for name in ROLES}
        for name, role in parts.items():
            if name not in FREE_TEXT:
                require(role.model, name, "json_schema")
        return cls(
            **parts,
            embeddings=embeddings,
            library=library,
            contrast=contrast,
            drafts=drafts,
            draft_tokens=draft_tokens,
        )


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
