"""Who takes part in a vote on drafts, and what passes through it."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self, TypedDict

from langchain_core.language_models import BaseChatModel

from quillgraph.agents.domain import CriteriaSet, Dropped, Value, WritingTask
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.judges.prompted import SAMPLES, Judge, PromptedJudge
from quillgraph.agents.judges.votes import Standing
from quillgraph.agents.role import Role
from quillgraph.backends.calls.budget import Budget
from quillgraph.backends.capabilities import require
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.messages.trace import TokenTrace
from quillgraph.graphs.episodes.episode import WrittenEpisode

JUDGES = ("first_judge", "second_judge", "third_judge")

VOTING_ROLES = ("writer", *JUDGES)


@dataclass(frozen=True, slots=True)
class Panel:
    """The run-time context of the vote.

    Build it with `Panel.of`, or directly where trained scorers shall judge. Judges are worth most
    where they are models of different families.
    """

    writer: Role
    first_judge: Judge
    second_judge: Judge
    third_judge: Judge
    drafts: int = 4
    """Texts to choose from."""
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
        drafts: int = 4,
        text_tokens: int = 512,
        samples: int = SAMPLES,
    ) -> Self:
        """Give every role the same model, but for those named in `roles`.

        Trained scorers, given as `judges`, stand where a model would be asked.

        Raises:
            ConfigError: On an unknown role, fewer than two drafts, or a model that lacks what its
                role needs.
        """
        others = roles or {}
        if unknown := sorted(set(others) - set(VOTING_ROLES)):
            raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], VOTING_ROLES)}")
        if drafts < 2:
            raise ConfigError(f"expected drafts of 2 or more to vote on, got {drafts}")
        shared = budget or Budget()
        parts = {name: Role(name, others.get(name, model), seed, shared) for name in VOTING_ROLES}
        trained = judges or {}
        for name in set(JUDGES) - set(trained):
            require(parts[name].model, name, "json_schema")
        first, second, third = (
            trained.get(name) or PromptedJudge((parts[name],), samples) for name in JUDGES
        )
        return cls(
            writer=parts["writer"],
            first_judge=first,
            second_judge=second,
            third_judge=third,
            drafts=drafts,
            text_tokens=text_tokens,
        )


@dataclass(frozen=True, slots=True)
class Seat:
    """One judge of the panel, as the graph of judging wants its context."""

    judge: Judge


class Candidate(Value):
    """A draft that is up for election."""

    number: int
    text: str
    trace: TokenTrace | None


class Ballot(Value):
    """What one judge found of one draft."""

    judge: str
    """Name of the role."""
    candidate: int
    judgement: Judgement


class Election(TypedDict):
    """What the vote starts from."""

    task: WritingTask
    criteria_set: CriteriaSet


class Elected(TypedDict):
    """What the vote gives."""

    episode: WrittenEpisode
    standings: tuple[Standing, ...]
    """The drafts from first to last."""


class Voting(Election, Elected, total=False):
    """State of the vote."""

    candidates: Annotated[list[Candidate], operator.add]
    ballots: Annotated[list[Ballot], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class OneDraft(Election):
    """Input of one draft."""

    number: int


class OneBallot(Election):
    """Input of one judge's look at one draft."""

    candidate: Candidate
    judge: str
