"""Debate: two writers answer the same request, and a critic compares each text with the other.

Each side writes a draft. Then, round by round, the critic tells each side where its text is worse
than the rival's on its weakest criteria. The side revises, and the revision is accepted or refused
as in the reflection loop (`agents.writers.acceptance`). The judged text with the fewest violations
and the best reward wins. Multi-agent debate (arXiv:2305.14325) lets several models argue over one
answer; the named criteria, the cited sentences and the rule that no side may fall below its own
draft are ours.
"""

import operator
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judgements import BEST_SCORE
from quillgraph.agents.role import Role, lost_reply
from quillgraph.agents.writers import (
    Plan,
    Precedents,
    Written,
    plan_edits,
    reflect,
    refusals,
    revise,
    weakest,
    write_draft,
)
from quillgraph.backends.errors import (
    BudgetReached,
    ContextOverflow,
    ReplyError,
)
from quillgraph.graphs.episodes.context import StructuredJudge, StructuredRole
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode, best_of
from quillgraph.graphs.prebuilt import judge as judging

SIDES = ("writer", "rival")

DEBATING_ROLES = (*SIDES, "critic", "judge")


@dataclass(frozen=True, slots=True)
class Arena:
    """The run-time context of the debate.

    Make it with `cast(Arena, …)`.
    """

    writer: Role
    rival: Role
    critic: StructuredRole
    """Tells each writer where the rival's text is better."""
    judge: StructuredJudge
    rounds: int = 2
    """Most revisions of each side."""
    text_tokens: int = 512
    """Most tokens of a text."""

    def side(self, name: str) -> Role:
        """One of the two writers."""
        return self.writer if name == "writer" else self.rival


class DebateInput(TypedDict):
    """Input of the debate."""

    task: WritingTask
    criteria_set: CriteriaSet


class DebateOutput(TypedDict):
    """Output of the debate."""

    episode: WrittenEpisode


class Debating(DebateInput, DebateOutput, total=False):
    """State of the debate."""

    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]
    round: int
    stopped: str | None


class OpeningInput(TypedDict):
    """Input of the node that writes a side's first text."""

    task: WritingTask
    criteria_set: CriteriaSet
    side: str


class Turned(TypedDict):
    """Output of a side's turn."""

    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class Turn(OpeningInput, Turned, total=False):
    """State of one side's turn: the critic objects, the side answers."""

    number: int
    history: tuple[Attempt, ...]
    """The side's texts so far, from its draft on."""
    rival: Attempt
    plan: Plan
    written: Written


def standing(history: tuple[Attempt, ...]) -> Attempt:
    """The current text of a side: its last one that was not refused."""
    return [attempt for attempt in history if attempt.decision != "refused"][-1]


UNPAID = "debate"
"""Stage of drops that a spent budget has caused."""


class WeighUpdate(TypedDict):
    """What `weigh` writes."""

    round: int
    stopped: str | None


class ObjectionUpdate(TypedDict, total=False):
    """What `object` writes; without a plan the side keeps its text."""

    plan: Plan
    dropped: list[Dropped]


class AnswerUpdate(TypedDict, total=False):
    """What `answer` writes."""

    written: Written
    dropped: list[Dropped]


async def open_side(state: OpeningInput, runtime: Runtime[Arena]) -> Turned:
    """Write a side's first text and judge it.

    Raises:
        BudgetReached: If the budget does not cover the text; a debate needs two texts.
        ReplyError: If two replies in a row only talk about the text.
    """
    arena, side = runtime.context, state["side"]
    written = await write_draft(
        state["task"],
        Precedents(),
        arena.side(side),
        number=SIDES.index(side),
        max_tokens=arena.text_tokens,
    )
    assessed = await judging.assess(_submission(state, written.text), arena)
    attempt = Attempt(
        number=SIDES.index(side),
        parent=None,
        text=written.text,
        judgement=assessed.judgement,
        reward=assessed.reward,
        decision="drawn",
        side=side,
        trace=written.trace,
        aside=written.aside,
    )
    return {"attempts": [attempt], "dropped": [*assessed.dropped, *_unpaid(assessed.unpaid, side)]}


async def object_to(state: Turn, runtime: Runtime[Arena]) -> ObjectionUpdate:
    """Have the critic say where the side's text is worse than the rival's."""
    own = standing(state["history"])
    weak = weakest(state["criteria_set"], own.judgement)
    try:
        answers = await reflect(
            state["task"],
            own.text,
            [c for c in weak if own.judgement.scores[c.id] < BEST_SCORE],
            own.judgement,
            runtime.context.critic,
            lessons=_refused_edits(state["history"]),
            number=state["number"],
            rival=state["rival"].text,
        )
    except BudgetReached as error:
        return {"dropped": _unpaid(str(error), state["side"])}
    except ContextOverflow as error:
        return {"dropped": [_drop("objection", "critic", str(error))]}
    edits = plan_edits(state["criteria_set"], own.judgement, answers.items)
    update: ObjectionUpdate = {"dropped": list(answers.dropped)}
    return {**update, "plan": edits} if edits.edits else update


async def answer(state: Turn, runtime: Runtime[Arena]) -> AnswerUpdate:
    """Have the side revise its text."""
    arena, side = runtime.context, state["side"]
    try:
        written = await revise(
            state["task"],
            standing(state["history"]).text,
            state["plan"],
            arena.side(side),
            lessons=(),
            number=state["number"],
            max_tokens=arena.text_tokens,
        )
    except BudgetReached as error:
        return {"dropped": _unpaid(str(error), side)}
    except ContextOverflow as error:
        return {"dropped": [_drop("revision", side, str(error))]}
    except ReplyError as error:
        return {"dropped": [lost_reply("revision", arena.side(side), error)]}
    return {"written": written}


async def decide(state: Turn, runtime: Runtime[Arena]) -> Turned:
    """Judge the revision, and accept it or keep the text before."""
    own, written = standing(state["history"]), state["written"]
    assessed = await judging.assess(_submission(state, written.text), runtime.context)
    outcome, first = (assessed.judgement, assessed.reward), state["history"][0]
    reasons = refusals(
        state["criteria_set"],
        outcome,
        (own.judgement, own.reward),
        (first.judgement, first.reward),
    )
    before, after = own.reward.value, assessed.reward.value
    attempt = Attempt(
        number=state["number"],
        parent=own.number,
        text=written.text,
        plan=state["plan"],
        judgement=assessed.judgement,
        reward=assessed.reward,
        delta=None if before is None or after is None else after - before,
        decision="refused" if reasons else "accepted",
        reasons=reasons,
        side=state["side"],
        trace=written.trace,
        aside=written.aside,
    )
    unpaid = _unpaid(assessed.unpaid, state["side"])
    return {"attempts": [attempt], "dropped": [*assessed.dropped, *unpaid]}


def weigh(state: Debating, runtime: Runtime[Arena]) -> WeighUpdate:
    """Decide whether the debate goes on; it ends after a round in which neither side improved."""
    rounds = state.get("round", 0)
    last = [each for each in state["attempts"] if each.number // len(SIDES) == rounds]
    stopped = None
    if budgets := _budgets(state):
        stopped = budgets[0]
    elif any(standing(_texts_of(state, side)).reward.value is None for side in SIDES):
        stopped = "a side has no reward"
    elif rounds >= runtime.context.rounds:
        stopped = f"{rounds} rounds are over"
    elif rounds and not any(attempt.decision == "accepted" for attempt in last):
        stopped = "neither side could improve its text"
    return {"round": rounds + 1, "stopped": stopped}


def turns(state: Debating) -> list[Send] | Literal["close"]:
    """Start a turn of each side, or end the debate."""
    if state["stopped"]:
        return "close"
    current = {side: standing(_texts_of(state, side)) for side in SIDES}
    return [
        Send(
            "turn",
            {
                "task": state["task"],
                "criteria_set": state["criteria_set"],
                "side": side,
                "number": len(SIDES) * state["round"] + place,
                "history": _texts_of(state, side),
                "rival": current[SIDES[1 - place]],
            },
        )
        for place, side in enumerate(SIDES)
    ]


def close(state: Debating) -> DebateOutput:
    """Choose the winner and write the episode."""
    ordered = sorted(state["attempts"], key=lambda attempt: attempt.number)
    # a side without a revision leaves a gap in the numbers
    places = {attempt.number: place for place, attempt in enumerate(ordered)}
    attempts = tuple(
        each.model_copy(
            update={
                "number": places[each.number],
                "parent": None if each.parent is None else places[each.parent],
            }
        )
        for each in ordered
    )
    current = [standing(tuple(a for a in attempts if a.side == side)) for side in SIDES]
    return {
        "episode": WrittenEpisode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=best_of(current).number,
            stopped=str(state["stopped"]),
            is_complete=not _budgets(state),
            dropped=tuple(state.get("dropped", ())),
        )
    }


def build_turn() -> StateGraph[Turn, Arena, Turn, Turned]:
    """Wire one side's turn: objection, answer, decision."""
    graph = StateGraph(Turn, context_schema=Arena, output_schema=Turned)
    graph.add_node("object", object_to)
    graph.add_node("answer", answer)
    graph.add_node("decide", decide)
    graph.add_edge(START, "object")
    graph.add_conditional_edges(
        "object", lambda state: "answer" if state.get("plan") else END, ["answer", END]
    )
    graph.add_conditional_edges(
        "answer", lambda state: "decide" if state.get("written") else END, ["decide", END]
    )
    graph.add_edge("decide", END)
    return graph


def build() -> StateGraph[Debating, Arena, DebateInput, DebateOutput]:
    """Wire the debate."""
    graph = StateGraph(
        Debating, context_schema=Arena, input_schema=DebateInput, output_schema=DebateOutput
    )
    graph.add_node("open", open_side, input_schema=OpeningInput)
    graph.add_node("weigh", weigh)
    graph.add_node("turn", build_turn().compile(), input_schema=Turn)
    graph.add_node("close", close)
    graph.add_conditional_edges(START, _openings, ["open"])
    graph.add_edge("open", "weigh")
    graph.add_conditional_edges("weigh", turns, ["turn", "close"])
    graph.add_edge("turn", "weigh")
    graph.add_edge("close", END)
    return graph


def _openings(state: DebateInput) -> list[Send]:
    return [Send("open", OpeningInput(**state, side=side)) for side in SIDES]


def _texts_of(state: Debating, side: str) -> tuple[Attempt, ...]:
    own = (attempt for attempt in state["attempts"] if attempt.side == side)
    return tuple(sorted(own, key=lambda attempt: attempt.number))


def _submission(state: OpeningInput | Turn, text: str) -> judging.Submission:
    return judging.Submission(task=state["task"], criteria_set=state["criteria_set"], text=text)


def _refused_edits(history: tuple[Attempt, ...]) -> tuple[str, ...]:
    """Edits to the side's current text that were rolled back, as lessons for the critic."""
    own = standing(history)
    return tuple(
        f"Already tried and rolled back: {edit.fix}"
        for attempt in history
        if attempt.parent == own.number and attempt.decision == "refused" and attempt.plan
        for edit in attempt.plan.edits
    )


def _drop(stage: str, agent: str, reason: str) -> Dropped:
    return Dropped(stage=stage, agent=agent, reason=reason, text="")


def _unpaid(reason: str | None, side: str) -> list[Dropped]:
    return [Dropped(stage=UNPAID, agent="budget", reason=reason, text=side)] if reason else []


def _budgets(state: Debating) -> list[str]:
    return [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]
