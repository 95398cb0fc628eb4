"""Who takes part in a debate between two writers, and what passes through it."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self, TypedDict

from langchain_core.language_models import BaseChatModel

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judges.prompted import SAMPLES, Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.agents.writers.reflection import Plan
from quillgraph.agents.writers.writer import Written
from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.capabilities import require
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode

SIDES = ("writer", "rival")

DEBATING_ROLES = (*SIDES, "critic", "judge")


@dataclass(frozen=True, slots=True)
class Arena:
    """The run-time context of the debate.

    Build it with `Arena.of`, or directly where a trained scorer shall stand for the judge.
    """

    writer: Role
    rival: Role
    critic: Role
    """Speaks for each text before the writer of the other."""
    judge: Judge
    rounds: int = 2
    """Most times that each side answers."""
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
        rounds: int = 2,
        text_tokens: int = 512,
        samples: int = SAMPLES,
    ) -> Self:
        """Give every role the same model, but for those named in `roles`.

        A trained scorer, given as `judges={"judge": …}`, stands where a model would be asked.

        Raises:
            ConfigError: On an unknown role, or a model that lacks what its role needs.
        """
        others = roles or {}
        if unknown := sorted(set(others) - set(DEBATING_ROLES)):
            raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], DEBATING_ROLES)}")
        shared = budget or Budget()
        parts = {name: Role(name, others.get(name, model), seed, shared) for name in DEBATING_ROLES}
        for name in ("critic", "judge"):
            if name not in (judges or {}):
                require(parts[name].model, name, "json_schema")
        return cls(
            writer=parts["writer"],
            rival=parts["rival"],
            critic=parts["critic"],
            judge=(judges or {}).get("judge") or PromptedJudge((parts["judge"],), samples),
            rounds=rounds,
            text_tokens=text_tokens,
        )

    def side(self, name: str) -> Role:
        """One of the two writers."""
        return self.writer if name == "writer" else self.rival


class Motion(TypedDict):
    """What the debate starts from."""

    task: WritingTask
    criteria_set: CriteriaSet


class Verdict(TypedDict):
    """What the debate gives."""

    episode: WrittenEpisode


class Debating(Motion, Verdict, total=False):
    """State of the debate."""

    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]
    round: int
    stopped: str | None


class Opening(TypedDict):
    """Input of a side's first text."""

    task: WritingTask
    criteria_set: CriteriaSet
    side: str


class Turned(TypedDict):
    """What a side gives when it has had its turn."""

    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class Turn(Opening, Turned, total=False):
    """State of one side's answer to the critic."""

    number: int
    history: tuple[Attempt, ...]
    """The side's texts so far, the first draft first."""
    rival: Attempt
    plan: Plan
    written: Written


def standing(history: tuple[Attempt, ...]) -> Attempt:
    """The text that a side stands by: its last one that was not refused."""
    return [attempt for attempt in history if attempt.decision != "refused"][-1]
