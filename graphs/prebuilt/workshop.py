"""Who takes part in writing a text and judging it, and what passes through the loop."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self, TypedDict

from langchain_core.language_models import BaseChatModel

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.judges import SAMPLES, Judge, PromptedJudge
from quillgraph.agents.memory import Lesson
from quillgraph.agents.role import Role
from quillgraph.agents.writers import Plan, Precedents, Reflection
from quillgraph.backends.calls import Budget
from quillgraph.backends.capabilities import require
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.messages import TokenTrace
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.memory.library import Library
from quillgraph.graphs.memory.memory import Memory

WRITING_ROLES = ("writer", "judge", "reflector", "consolidator")
"""The parts of the reflection loop that a model plays."""

ROUNDS = 3
"""Most revisions (`ALGORITHM.md` 6.4)."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The run-time context of the graphs that write and judge.

    Build it with `Workshop.of`, or directly where a trained scorer shall stand for the judge.
    """

    writer: Role
    judge: Judge
    reflector: Role
    consolidator: Role
    memory: Memory | None = None
    """None: nothing is recalled and nothing is remembered."""
    library: Library | None = None
    """Gets to know how texts were scored; None: nobody does."""
    rounds: int = ROUNDS
    text_tokens: int = 512
    """Longest text."""

    @classmethod
    def of(
        cls,
        model: BaseChatModel,
        *,
        seed: int = 0,
        budget: Budget | None = None,
        roles: Mapping[str, BaseChatModel] | None = None,
        judges: Mapping[str, Judge] | None = None,
        memory: Memory | None = None,
        library: Library | None = None,
        rounds: int = ROUNDS,
        text_tokens: int = 512,
        samples: int = SAMPLES,
    ) -> Self:
        """Give every role the same model, but for those named in `roles`.

        A trained scorer, given as `judges={"judge": …}`, stands where a model would be asked.

        Raises:
            ConfigError: On an unknown role, a measure out of range, or a model that lacks what
                its role needs.
        """
        others = roles or {}
        if unknown := sorted(set(others) - set(WRITING_ROLES)):
            guess = nearest(unknown[0], WRITING_ROLES)
            raise ConfigError(f"unknown role {unknown[0]!r}: {guess}")
        for measure, value, least in (
            ("rounds", rounds, 0),
            ("text_tokens", text_tokens, 1),
            ("samples", samples, 1),
        ):
            if value < least:
                raise ConfigError(f"expected {measure} of {least} or more, got {value}")
        shared = budget or Budget()
        parts = {name: Role(name, others.get(name, model), seed, shared) for name in WRITING_ROLES}
        for name, role in parts.items():
            if name != "writer" and name not in (judges or {}):
                require(role.model, name, "json_schema")
        return cls(
            writer=parts["writer"],
            judge=(judges or {}).get("judge") or PromptedJudge((parts["judge"],), samples),
            reflector=parts["reflector"],
            consolidator=parts["consolidator"],
            memory=memory,
            library=library,
            rounds=rounds,
            text_tokens=text_tokens,
        )


class Assignment(TypedDict):
    """What the loop starts from."""

    task: WritingTask
    criteria_set: CriteriaSet


class ReflectionOutput(TypedDict):
    """What the loop gives."""

    episode: WrittenEpisode


class Reflecting(Assignment, ReflectionOutput, total=False):
    """State of the loop."""

    precedents: Precedents
    shown: tuple[Lesson, ...]
    """Lessons that the coming text is written with."""
    lessons: tuple[Lesson, ...]
    """All lessons that were shown in the episode."""
    reflections: tuple[Reflection, ...]
    plan: Plan
    text: str
    trace: TokenTrace | None
    judgement: Judgement
    reward: Reward
    attempts: Annotated[list[Attempt], operator.add]
    best: int
    stopped: str | None
    is_complete: bool
    learned: tuple[Lesson, ...]
    dropped: Annotated[list[Dropped], operator.add]
