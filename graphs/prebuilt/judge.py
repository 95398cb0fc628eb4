"""Judging a text: the gate and the checks by code, the judge, and one reward."""

import operator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, TypedDict, Unpack

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.domain import CriteriaSet, Criterion, Dropped, WritingTask
from quillgraph.agents.judgements import (
    CODE,
    Judgement,
    Missing,
    Reward,
    Verdict,
    Violation,
    checked,
    judged,
    text_hash,
)
from quillgraph.agents.judges import (
    MOST_TEXT_CHARS,
    Ballot,
    Judge,
    plain,
    refusal,
    reward,
    text_for_judge,
)
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import nothing_left
from quillgraph.backends.calls import Budget, Recorder, recorder_of
from quillgraph.backends.errors import BudgetReached, ContextOverflow, InputError
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.prebuilt.workshop import Workshop


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


class ExamineUpdate(TypedDict):
    """What `examine` writes."""

    gate: str | None
    violations: tuple[Violation, ...]


class Judging(Submission, ExamineUpdate, Assessment, total=False):
    """State of the graph."""

    verdicts: tuple[Verdict, ...]
    missing: tuple[Missing, ...]


class ScoreUpdate(TypedDict):
    """What `score` writes."""

    verdicts: tuple[Verdict, ...]
    missing: tuple[Missing, ...]
    dropped: list[Dropped]


class SettleUpdate(TypedDict):
    """What `settle` writes."""

    judgement: Judgement
    reward: Reward


def examine(state: Submission) -> ExamineUpdate:
    """Run the checks that need no judge: the gate, and the hard criteria."""
    criteria_set, text = state["criteria_set"], state["text"]
    results = (
        (criterion.id, criterion.check.violation(text))
        for criterion in checked(criteria_set.criteria)
        if criterion.check
    )
    return {
        "gate": refusal(plain(text), state["task"].request, criteria_set),
        "violations": tuple(
            Violation(criterion_id=c, reason=reason) for c, reason in results if reason
        ),
    }


def to_judge(state: Judging) -> str:
    """Only what has passed the gate is shown to the judge."""
    return "settle" if state["gate"] else "score"


async def score(state: Judging, runtime: Runtime[Workshop]) -> ScoreUpdate:
    """Have the judge score the text on the soft and pitfall criteria."""
    return await _scored(state, runtime.context.judge)


def settle(state: Judging, runtime: Runtime[Workshop]) -> SettleUpdate:
    """Put the findings together, and make one number of them."""
    return _sealed(
        state,
        runtime.context.judge.name,
        state.get("verdicts", ()),
        state.get("missing", ()),
        state,
    )


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


async def judge_text(submission: Submission, judge: Judge | None) -> Judgement:
    """Judge a text as the graph does, without a graph; training does it thousands of times.

    Args:
        submission: The text, and what it is to be judged by.
        judge: Whoever scores the soft and pitfall criteria; None if nobody does, and code alone
            says what it can.
    """
    examined = examine(submission)
    if judge is None or examined["gate"] or not judged(submission["criteria_set"].criteria):
        name = judge.name if judge else CODE
        return _sealed(submission, name, (), (), examined)["judgement"]
    scored = await _scored(submission, judge)
    sealed = _sealed(submission, judge.name, scored["verdicts"], scored["missing"], examined)
    return sealed["judgement"]


async def _scored(submission: Submission, judge: Judge) -> ScoreUpdate:
    criteria = submission["criteria_set"].criteria
    questions = judged(criteria)
    text = text_for_judge(submission["text"], criteria)
    try:
        ballot = await judge.judge(submission["task"], text, questions)
    except (InputError, ContextOverflow) as error:  # too long for any judge, or for this one
        return {"verdicts": (), "missing": _all_missing(questions, str(error)), "dropped": []}
    verdicts, strange = _asked_for(ballot, questions)
    readable = {verdict.criterion_id for verdict in verdicts}
    reasons = {missing.criterion_id: missing.reason for missing in ballot.missing}
    return {
        "verdicts": verdicts,
        "missing": tuple(
            Missing(criterion_id=c.id, reason=reasons.get(c.id, "the judge said nothing of it"))
            for c in questions
            if c.id not in readable
        ),
        "dropped": [*ballot.dropped, *strange],
    }


def _sealed(
    submission: Submission,
    judge: str,
    verdicts: tuple[Verdict, ...],
    missing: tuple[Missing, ...],
    examined: ExamineUpdate,
) -> SettleUpdate:
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


@dataclass(frozen=True, slots=True)
class Assessed:
    """The result of judging a text."""

    judgement: Judgement
    reward: Reward
    dropped: list[Dropped]
    unpaid: str | None
    """Why the judge could not be paid within another graph; None if the text was judged."""


class Bench(Protocol):
    """A run-time context with a judge in it, such as a `Workshop`."""

    @property
    def judge(self) -> Judge:
        """Who scores the texts."""


@dataclass(frozen=True, slots=True)
class SoleJudge:
    """A judge where nobody writes."""

    judge: Judge


async def assess(submission: Submission, bench: Bench) -> Assessed:
    """Judge a text; if the budget does not cover it, every verdict is missing."""
    try:
        output = await _graph().ainvoke(submission, context=bench)
    except BudgetReached as error:
        missing = _all_missing(judged(submission["criteria_set"].criteria), str(error))
        unread = _sealed(submission, bench.judge.name, (), missing, examine(submission))
        return Assessed(unread["judgement"], unread["reward"], [], str(error))
    return Assessed(output["judgement"], output["reward"], output.get("dropped", []), None)


class JudgeMeasures(TypedDict, total=False):
    """What judging may be given besides; what is left out is as in a `Workshop`."""

    samples: int
    """Votes on each criterion."""
    seed: int
    budget: Budget | None
    record: Recorder | Path | None
    """File that each call is added to as it ends, or the recorder that writes it."""


async def judge(
    text: str,
    criteria: CriteriaSet,
    model: BaseChatModel | Judge,
    *,
    request: WritingTask | str,
    **options: Unpack[JudgeMeasures],
) -> Assessed:
    """Judge a text by frozen criteria: the gate, the checks by code, then the judge.

    Args:
        text: The text.
        criteria: What it is judged by.
        model: Who scores it: a chat model, or a judge such as `trained_judge("scorer:prose")`.
        request: What was to be written; the criteria must have been made for it.
        options: As `JudgeMeasures` says.

    Returns:
        The judgement, and the reward that is made of it.

    Raises:
        InputError: If the text is too long for a judge, or the criteria are of another request.
        ConfigError: If the model lacks what a judge needs.
        ReplyError: If the judge was not understood on any criterion.
        BudgetReached: If the budget ends before the judge has answered.
        BackendError: If the model cannot be reached, or refuses.
    """
    task = writing_task(request) if isinstance(request, str) else request
    submission = Submission(task=task, criteria_set=criteria, text=text)
    refuse_unjudgeable(submission)
    measures: dict[str, Any] = {k: v for k, v in options.items() if k != "record"}
    bench: Bench = (
        cast(Workshop, model, **measures) if isinstance(model, BaseChatModel) else SoleJudge(model)
    )
    with recorder_of(options.get("record"), "judge", options.get("budget")) as recorder:
        assessed = await judge_alone(submission, bench, recorder)
    refuse_silence(assessed)
    return assessed


async def judge_alone(submission: Submission, bench: Bench, recorder: Recorder) -> Assessed:
    """Run the graph for a text that no other graph has written.

    Raises:
        BudgetReached: If the budget ends before the judge has answered.
        BackendError: If the model cannot be reached, or refuses.
    """
    state = await _graph().ainvoke(submission, {"callbacks": [recorder]}, context=bench)
    return Assessed(state["judgement"], state["reward"], state.get("dropped", []), None)


def refuse_unjudgeable(submission: Submission) -> None:
    """Refuse what a judge cannot work on.

    Raises:
        InputError: If the text is too long, or the criteria were made for another request.
    """
    task, criteria_set, text = submission["task"], submission["criteria_set"], submission["text"]
    if len(text) > MOST_TEXT_CHARS:
        raise InputError(
            f"expected a text of at most {MOST_TEXT_CHARS:,} characters, got {len(text):,}; judge "
            "its chapters one by one"
        )
    if task.request_hash != criteria_set.request_hash:
        raise InputError(
            "the criteria were made for another request than the one given; give the request that "
            "they were made for"
        )


def refuse_silence(assessed: Assessed) -> None:
    """Refuse a judgement without a readable verdict: a missing verdict is not zero.

    Raises:
        ReplyError: With the judge's first unreadable reply.
    """
    judgement = assessed.judgement
    if judgement.missing and not judgement.verdicts:
        raise nothing_left("a verdict on any criterion from the judge", assessed.dropped)


@cache
def _graph() -> Any:
    return build().compile()


def _all_missing(criteria: tuple[Criterion, ...], reason: str) -> tuple[Missing, ...]:
    return tuple(Missing(criterion_id=criterion.id, reason=reason) for criterion in criteria)


def _asked_for(
    ballot: Ballot, questions: tuple[Criterion, ...]
) -> tuple[tuple[Verdict, ...], list[Dropped]]:
    """One verdict on each criterion; other verdicts of a custom judge are dropped."""
    first: dict[str, Verdict] = {}
    strange = []
    due = {criterion.id for criterion in questions}
    for verdict in ballot.verdicts:
        if verdict.criterion_id in due and verdict.criterion_id not in first:
            first[verdict.criterion_id] = verdict
        else:
            text = f"{verdict.criterion_id}: {verdict.score:g}"
            reason = "a verdict that was not asked for"
            strange.append(Dropped(stage="judging", agent="judge", reason=reason, text=text))
    return tuple(first.values()), strange
