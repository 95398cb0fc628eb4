"""Judging a text: the gate and the checks by code, the judge, and one reward."""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.gating import refusal
from quillgraph.agents.judgements import (
    Judgement,
    Missing,
    Reward,
    Verdict,
    Violation,
    checked,
    judged,
    text_hash,
)
from quillgraph.agents.markup import plain, shown_to_judge
from quillgraph.agents.rewards import reward
from quillgraph.graphs.workshop import Workshop


class Submission(TypedDict):
    """What the graph starts from."""

    task: WritingTask
    criteria_set: CriteriaSet
    text: str


class Assessment(TypedDict):
    """What the graph gives."""

    judgement: Judgement
    reward: Reward
    dropped: Annotated[list[Dropped], operator.add]


class Examined(TypedDict):
    """What `examine` writes."""

    gate: str | None
    violations: tuple[Violation, ...]


class Judging(Submission, Examined, Assessment, total=False):
    """State of the graph."""

    verdicts: tuple[Verdict, ...]
    missing: tuple[Missing, ...]


class Scored(TypedDict):
    """What `score` writes."""

    verdicts: tuple[Verdict, ...]
    missing: tuple[Missing, ...]
    dropped: list[Dropped]


class Settled(TypedDict):
    """What `settle` writes."""

    judgement: Judgement
    reward: Reward


def examine(state: Submission) -> Examined:
    """Do what needs no judge: the gate, and the hard criteria."""
    criteria_set, text = state["criteria_set"], state["text"]
    found = (
        (criterion.id, criterion.check.violation(text))
        for criterion in checked(criteria_set.criteria)
        if criterion.check
    )
    return {
        "gate": refusal(plain(text), state["task"].request, criteria_set),
        "violations": tuple(Violation(criterion_id=c, reason=said) for c, said in found if said),
    }


def to_judge(state: Judging) -> str:
    """Only what has passed the gate is shown to the judge."""
    return "settle" if state["gate"] else "score"


async def score(state: Judging, runtime: Runtime[Workshop]) -> Scored:
    """Have the judge score the text on the soft and pitfall criteria."""
    criteria = state["criteria_set"].criteria
    shown = shown_to_judge(state["text"], criteria)
    ballot = await runtime.context.judge.judge(state["task"], shown, judged(criteria))
    return {
        "verdicts": ballot.verdicts,
        "missing": ballot.missing,
        "dropped": list(ballot.dropped),
    }


def settle(state: Judging, runtime: Runtime[Workshop]) -> Settled:
    """Put the findings together, and make one number of them."""
    return _sealed(
        state,
        runtime.context.judge.name,
        state.get("verdicts", ()),
        state.get("missing", ()),
        state,
    )


def unjudged(submission: Submission, judge: str, reason: str) -> Settled:
    """The judgement of a text that the judge was never asked about: every verdict is missing."""
    missing = tuple(
        Missing(criterion_id=criterion.id, reason=reason)
        for criterion in judged(submission["criteria_set"].criteria)
    )
    return _sealed(submission, judge, (), missing, examine(submission))


def build() -> StateGraph[Judging, Workshop, Submission, Assessment]:
    """Wire the graph."""
    graph = StateGraph(
        Judging, context_schema=Workshop, input_schema=Submission, output_schema=Assessment
    )
    graph.add_node("examine", examine)
    graph.add_node("score", score)
    graph.add_node("settle", settle)
    graph.add_edge(START, "examine")
    graph.add_conditional_edges("examine", to_judge, ["score", "settle"])
    graph.add_edge("score", "settle")
    graph.add_edge("settle", END)
    return graph


def _sealed(
    submission: Submission,
    judge: str,
    verdicts: tuple[Verdict, ...],
    missing: tuple[Missing, ...],
    examined: Examined,
) -> Settled:
    criteria_set, text = submission["criteria_set"], submission["text"]
    judgement = Judgement(
        criteria_sha=criteria_set.sha256,
        text_sha=text_hash(text),
        judge=judge,
        gate=examined["gate"],
        verdicts=verdicts,
        violations=examined["violations"],
        missing=missing,
    )
    return {"judgement": judgement, "reward": reward(judgement, criteria_set, text)}
