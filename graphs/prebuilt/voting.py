"""Voting: drafts side by side, ranked by the votes of three judges on every criterion.

Where best-of-N trusts one judge's scores, here each judge's order of the drafts on each criterion
is a vote, and the drafts are compared two by two (`agents.voting`). A draft that breaks fewer
demands stands before any that breaks more: demands are not voted on.
"""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import Dropped
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.judges.reward import reward
from quillgraph.agents.judges.votes import pooled, tally, votes_of
from quillgraph.agents.writers.writer import write_one_of
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.prebuilt.panel import (
    JUDGES,
    Ballot,
    Candidate,
    Elected,
    Election,
    OneBallot,
    OneDraft,
    Panel,
    Seat,
    Voting,
)

UNPAID = "voting"
"""Stage of what was dropped because a budget was spent."""


class Drafted(TypedDict):
    """What `draft` writes."""

    candidates: list[Candidate]
    dropped: list[Dropped]


class Cast(TypedDict):
    """What `vote` writes."""

    ballots: list[Ballot]
    dropped: list[Dropped]


async def draft(state: OneDraft, runtime: Runtime[Panel]) -> Drafted:
    """Write one draft; the first must come, without the others the vote is a shorter one."""
    panel, number = runtime.context, state["number"]
    written = await write_one_of(
        state["task"], panel.writer, number=number, max_tokens=panel.text_tokens, unpaid=UNPAID
    )
    if isinstance(written, Dropped):
        return {"candidates": [], "dropped": [written]}
    up = Candidate(number=number, text=written.text, trace=written.trace)
    return {"candidates": [up], "dropped": []}


def collect(state: Voting) -> None:
    """Wait for all drafts: each ballot is about one of those that there are."""


async def vote(state: OneBallot, runtime: Runtime[Panel]) -> Cast:
    """Have one judge look at one draft."""
    candidate, name = state["candidate"], state["judge"]
    submission = judging.Submission(
        task=state["task"], criteria_set=state["criteria_set"], text=candidate.text
    )
    found = await judging.assess(submission, Seat(getattr(runtime.context, name)))
    unpaid = [_unpaid(found.unpaid, f"{name} on draft {candidate.number}")] if found.unpaid else []
    ballot = Ballot(judge=name, candidate=candidate.number, judgement=found.judgement)
    return {"ballots": [ballot], "dropped": [*found.dropped, *unpaid]}


def count(state: Voting) -> Elected:
    """Count the votes and seal the record."""
    up = sorted(state["candidates"], key=lambda each: each.number)
    found = [_by(state, name) for name in JUDGES]
    duels = tally([each.number for each in up], votes_of(found, state["criteria_set"]))
    merged = {each.number: pooled([by[each.number] for by in found]) for each in up}
    standings = tuple(sorted(duels, key=lambda each: len(merged[each.candidate].violated)))
    budgets = [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]
    told = f"{len(up)} drafts stood for election" + (f", then {budgets[0]}" if budgets else "")
    attempts = tuple(
        _attempt(state, place, each, merged[each.number]) for place, each in enumerate(up)
    )
    numbers = [each.number for each in up]
    return {
        "standings": standings,
        "episode": WrittenEpisode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=numbers.index(standings[0].candidate),
            stopped=told,
            is_complete=not budgets,
            dropped=tuple(state.get("dropped", ())),
        ),
    }


def deal_drafts(state: Election, runtime: Runtime[Panel]) -> list[Send]:
    """All drafts at once."""
    return [Send("draft", OneDraft(**state, number=n)) for n in range(runtime.context.drafts)]


def deal_ballots(state: Voting) -> list[Send]:
    """Every judge gets every draft."""
    election = Election(task=state["task"], criteria_set=state["criteria_set"])
    return [
        Send("vote", OneBallot(**election, candidate=candidate, judge=name))
        for candidate in state["candidates"]
        for name in JUDGES
    ]


def build() -> StateGraph[Voting, Panel, Election, Elected]:
    """Wire the graph."""
    graph = StateGraph(Voting, context_schema=Panel, input_schema=Election, output_schema=Elected)
    graph.add_node("draft", draft, input_schema=OneDraft)
    graph.add_node("collect", collect)
    graph.add_node("vote", vote, input_schema=OneBallot)
    graph.add_node("count", count)
    graph.add_conditional_edges(START, deal_drafts, ["draft"])
    graph.add_edge("draft", "collect")
    graph.add_conditional_edges("collect", deal_ballots, ["vote"])
    graph.add_edge("vote", "count")
    graph.add_edge("count", END)
    return graph


def _by(state: Voting, name: str) -> dict[int, Judgement]:
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
    )


def _unpaid(reason: str, what: str) -> Dropped:
    return Dropped(stage=UNPAID, agent="budget", reason=reason, text=what)
