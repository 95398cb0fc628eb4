"""Voting: write several drafts, and rank them by the votes of three judges on every criterion.

Best-of-N trusts one judge's scores. Here each judge's ranking of the drafts on each criterion is a
vote, and the votes compare the drafts two by two (`agents.judges.votes`). Demands are not voted on:
a draft that breaks fewer demands ranks before any that breaks more.
"""

import operator
from dataclasses import dataclass
from typing import Annotated, TypedDict

from annotated_types import Ge
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import CriteriaSet, Dropped, Value, WritingTask
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.judges import (
    Judge,
    Standing,
    pooled,
    reward,
    tally,
    votes_of,
)
from quillgraph.agents.replies import NOTHING_ASIDE, Aside
from quillgraph.agents.role import Role
from quillgraph.agents.writers import write_one_of
from quillgraph.backends.messages import TokenTrace
from quillgraph.graphs.episodes.context import StructuredJudge
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.prebuilt import judge as judging

JUDGES = ("first_judge", "second_judge", "third_judge")

VOTING_ROLES = ("writer", *JUDGES)


@dataclass(frozen=True, slots=True)
class Panel:
    """The run-time context of the vote.

    Make it with `cast(Panel, …)`. Judges are most useful if they are models of different
    families.
    """

    writer: Role
    first_judge: StructuredJudge
    second_judge: StructuredJudge
    third_judge: StructuredJudge
    drafts: Annotated[int, Ge(2)] = 4
    """Number of drafts to choose from."""
    text_tokens: int = 512
    """Most tokens of a text."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One judge of the panel, as the context of the judging graph."""

    judge: Judge


class Candidate(Value):
    """A draft to vote on."""

    number: int
    text: str
    trace: TokenTrace | None
    aside: Aside = NOTHING_ASIDE


class JudgeBallot(Value):
    """One judge's judgement of one draft."""

    judge: str
    """Name of the role."""
    candidate: int
    judgement: Judgement


class VotingInput(TypedDict):
    """Input of the vote."""

    task: WritingTask
    criteria_set: CriteriaSet


class VotingOutput(TypedDict):
    """Output of the vote."""

    episode: WrittenEpisode
    standings: tuple[Standing, ...]
    """The drafts, the best one first."""


class Voting(VotingInput, VotingOutput, total=False):
    """State of the vote."""

    candidates: Annotated[list[Candidate], operator.add]
    ballots: Annotated[list[JudgeBallot], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class DraftInput(VotingInput):
    """Input of the node that writes one draft."""

    number: int


class BallotInput(VotingInput):
    """Input of one judge's judgement of one draft."""

    candidate: Candidate
    judge: str


UNPAID = "voting"
"""Stage of drops that a spent budget has caused."""


class DraftUpdate(TypedDict):
    """What `draft` writes."""

    candidates: list[Candidate]
    dropped: list[Dropped]


class VoteUpdate(TypedDict):
    """What `vote` writes."""

    ballots: list[JudgeBallot]
    dropped: list[Dropped]


async def draft(state: DraftInput, runtime: Runtime[Panel]) -> DraftUpdate:
    """Write one draft; an error ends the vote only if it is the first draft's."""
    panel, number = runtime.context, state["number"]
    written = await write_one_of(
        state["task"], panel.writer, number=number, max_tokens=panel.text_tokens, unpaid=UNPAID
    )
    if isinstance(written, Dropped):
        return {"candidates": [], "dropped": [written]}
    candidate = Candidate(
        number=number, text=written.text, trace=written.trace, aside=written.aside
    )
    return {"candidates": [candidate], "dropped": []}


def collect(state: Voting) -> None:
    """Wait for all drafts, because the ballots are dealt from all of them."""


async def vote(state: BallotInput, runtime: Runtime[Panel]) -> VoteUpdate:
    """Have one judge score one draft."""
    candidate, name = state["candidate"], state["judge"]
    submission = judging.Submission(
        task=state["task"], criteria_set=state["criteria_set"], text=candidate.text
    )
    assessed = await judging.assess(submission, Seat(getattr(runtime.context, name)))
    unpaid = (
        [_unpaid(assessed.unpaid, f"{name} on draft {candidate.number}")] if assessed.unpaid else []
    )
    ballot = JudgeBallot(judge=name, candidate=candidate.number, judgement=assessed.judgement)
    return {"ballots": [ballot], "dropped": [*assessed.dropped, *unpaid]}


def count(state: Voting) -> VotingOutput:
    """Count the votes and write the episode."""
    candidates = sorted(state["candidates"], key=lambda each: each.number)
    ballots = [_judgements_by(state, name) for name in JUDGES]
    duels = tally([each.number for each in candidates], votes_of(ballots, state["criteria_set"]))
    merged = {each.number: pooled([by[each.number] for by in ballots]) for each in candidates}
    standings = tuple(sorted(duels, key=lambda each: len(merged[each.candidate].violated)))
    budgets = [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]
    message = f"{len(candidates)} drafts stood for election" + (
        f", then {budgets[0]}" if budgets else ""
    )
    attempts = tuple(
        _attempt(state, place, each, merged[each.number]) for place, each in enumerate(candidates)
    )
    numbers = [each.number for each in candidates]
    return {
        "standings": standings,
        "episode": WrittenEpisode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=numbers.index(standings[0].candidate),
            stopped=message,
            is_complete=not budgets,
            dropped=tuple(state.get("dropped", ())),
        ),
    }


def deal_drafts(state: VotingInput, runtime: Runtime[Panel]) -> list[Send]:
    """Start all drafts at once."""
    return [Send("draft", DraftInput(**state, number=n)) for n in range(runtime.context.drafts)]


def deal_ballots(state: Voting) -> list[Send]:
    """Send every draft to every judge."""
    election = VotingInput(task=state["task"], criteria_set=state["criteria_set"])
    return [
        Send("vote", BallotInput(**election, candidate=candidate, judge=name))
        for candidate in state["candidates"]
        for name in JUDGES
    ]


def build() -> StateGraph[Voting, Panel, VotingInput, VotingOutput]:
    """Wire the graph."""
    graph = StateGraph(
        Voting, context_schema=Panel, input_schema=VotingInput, output_schema=VotingOutput
    )
    graph.add_node("draft", draft, input_schema=DraftInput)
    graph.add_node("collect", collect)
    graph.add_node("vote", vote, input_schema=BallotInput)
    graph.add_node("count", count)
    graph.add_conditional_edges(START, deal_drafts, ["draft"])
    graph.add_edge("draft", "collect")
    graph.add_conditional_edges("collect", deal_ballots, ["vote"])
    graph.add_edge("vote", "count")
    graph.add_edge("count", END)
    return graph


def _judgements_by(state: Voting, name: str) -> dict[int, Judgement]:
    return {each.candidate: each.judgement for each in state["ballots"] if each.judge == name}


def _attempt(state: Voting, place: int, candidate: Candidate, judgement: Judgement) -> Attempt:
    return Attempt(
        number=place,
        parent=None,
        text=candidate.text,
        judgement=judgement,
        reward=reward(judgement, state["criteria_set"], candidate.text),
        decision="drawn",
        trace=candidate.trace,
        aside=candidate.aside,
    )


def _unpaid(reason: str, what: str) -> Dropped:
    return Dropped(stage=UNPAID, agent="budget", reason=reason, text=what)
