"""Judge a text: the gate and the checks of code, then the judge, then one reward."""

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
from quillgraph.agents.replies import ReplyText, reply_text
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import nothing_left
from quillgraph.backends.calls import Budget, Recorder, recorder_of
from quillgraph.backends.errors import BudgetReached, ContextOverflow, InputError
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.prebuilt.workshop import Workshop


class Submission(TypedDict):
    """Input of the graph: a text, and the criteria to judge it by."""

    task: WritingTask
    criteria_set: CriteriaSet
    text: str
    """What was written; `submitted` says what of it is judged."""


class Assessment(TypedDict):
    """Output of the graph."""

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


def submitted(state: Submission) -> ReplyText:
    """The text that is judged, without thinking and frame, and what was taken off."""
    return reply_text(state["text"], request=state["task"].request)


def examine(state: Submission) -> ExamineUpdate:
    """Run the checks that need no judge, the gate and the hard criteria, where there is a text."""
    criteria_set, reply = state["criteria_set"], submitted(state)
    if (text := reply.text) is None:
        return {"gate": None, "violations": ()}
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
    """Send the text to the judge only if it has passed the gate."""
    return "settle" if state["gate"] else "score"


async def score(state: Judging, runtime: Runtime[Workshop]) -> ScoreUpdate:
    """Have the judge score the text on the soft and pitfall criteria."""
    return await _score(state, runtime.context.judge)


def settle(state: Judging, runtime: Runtime[Workshop]) -> SettleUpdate:
    """Combine checks and verdicts into a judgement, and compute its reward."""
    return _outcome(
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
    """Judge a text as the graph does, without its overhead: training judges thousands of texts.

    Args:
        submission: The text, and the criteria to judge it by.
        judge: Scores the soft and pitfall criteria; None leaves them unscored, and only code
            checks the text.
    """
    if (reply := submitted(submission)).text is None:
        return unread(submission["criteria_set"], str(reply.missing), judge.name if judge else CODE)
    checks = examine(submission)
    if judge is None or checks["gate"] or not judged(submission["criteria_set"].criteria):
        name = judge.name if judge else CODE
        return _outcome(submission, name, (), (), checks)["judgement"]
    scores = await _score(submission, judge)
    outcome = _outcome(submission, judge.name, scores["verdicts"], scores["missing"], checks)
    return outcome["judgement"]


def unread(criteria_set: CriteriaSet, reason: str, judge: str) -> Judgement:
    """The judgement where there is no text: every criterion is missing, and nothing is a zero."""
    return Judgement(
        criteria_sha=criteria_set.sha256,
        text_sha=text_hash(""),
        judge=judge,
        missing=_all_missing(criteria_set.criteria, reason),
    )


async def _score(submission: Submission, judge: Judge) -> ScoreUpdate:
    criteria = submission["criteria_set"].criteria
    questions, reply = judged(criteria), submitted(submission)
    if reply.text is None:
        return {
            "verdicts": (),
            "missing": _all_missing(criteria, str(reply.missing)),
            "dropped": [],
        }
    text = text_for_judge(reply.text, criteria)
    try:
        ballot = await judge.judge(submission["task"], text, questions)
    except (InputError, ContextOverflow) as error:  # too long for any judge, or for this one
        return {"verdicts": (), "missing": _all_missing(questions, str(error)), "dropped": []}
    verdicts, extra = _first_verdicts(ballot, questions)
    readable = {verdict.criterion_id for verdict in verdicts}
    reasons = {missing.criterion_id: missing.reason for missing in ballot.missing}
    return {
        "verdicts": verdicts,
        "missing": tuple(
            Missing(criterion_id=c.id, reason=reasons.get(c.id, "the judge said nothing of it"))
            for c in questions
            if c.id not in readable
        ),
        "dropped": [*ballot.dropped, *extra],
    }


def _outcome(
    submission: Submission,
    judge: str,
    verdicts: tuple[Verdict, ...],
    missing: tuple[Missing, ...],
    checks: ExamineUpdate,
) -> SettleUpdate:
    criteria_set, text = submission["criteria_set"], submitted(submission).words
    judgement = Judgement(
        criteria_sha=criteria_set.sha256,
        text_sha=text_hash(text),
        judge=judge,
        gate=checks["gate"],
        verdicts=verdicts,
        violations=checks["violations"],
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
    """Message of the budget that did not cover the judge, from `assess`; None if it did."""


class Bench(Protocol):
    """A run-time context with a judge, such as a `Workshop`."""

    @property
    def judge(self) -> Judge:
        """The judge that scores the texts."""


@dataclass(frozen=True, slots=True)
class SoleJudge:
    """A run-time context with a judge and no writer."""

    judge: Judge


async def assess(submission: Submission, bench: Bench) -> Assessed:
    """Judge a text; if the budget does not cover it, every verdict is missing."""
    try:
        output = await _graph().ainvoke(submission, context=bench)
    except BudgetReached as error:
        missing = _all_missing(judged(submission["criteria_set"].criteria), str(error))
        outcome = _outcome(submission, bench.judge.name, (), missing, examine(submission))
        return Assessed(outcome["judgement"], outcome["reward"], [], str(error))
    return Assessed(output["judgement"], output["reward"], output.get("dropped", []), None)


class JudgeMeasures(TypedDict, total=False):
    """Options of `judge`; the defaults are those of `Workshop`."""

    samples: int
    """Samples of the judge's verdict on each criterion."""
    seed: int
    budget: Budget | None
    record: Recorder | Path | None
    """File to append each finished call to, or the recorder that writes it."""


async def judge(
    text: str,
    criteria: CriteriaSet,
    model: BaseChatModel | Judge,
    *,
    request: WritingTask | str,
    **options: Unpack[JudgeMeasures],
) -> Assessed:
    """Judge a text by frozen criteria: the gate, the checks of code, then the judge.

    Args:
        text: The text.
        criteria: The criteria to judge it by.
        model: Scores the text: a chat model, or a judge such as `trained_judge("scorer:prose")`.
        request: The writing request; the criteria must be those of this request.
        options: See `JudgeMeasures`.

    Returns:
        The judgement, and the reward that follows from it.

    Raises:
        InputError: If there is no text, as of a reply whose thinking was cut off, if it is too long
            for a judge, or if the criteria are of another request.
        ConfigError: If the model lacks what a judge needs.
        ReplyError: If no verdict of the judge can be parsed.
        BudgetReached: If the budget ends before the judge has answered.
        BackendError: If the model cannot be reached, or refuses the call.
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
    """Run the graph on its own, outside any other graph.

    Raises:
        BudgetReached: If the budget ends before the judge has answered.
        BackendError: If the model cannot be reached, or refuses the call.
    """
    state = await _graph().ainvoke(submission, {"callbacks": [recorder]}, context=bench)
    return Assessed(state["judgement"], state["reward"], state.get("dropped", []), None)


def refuse_unjudgeable(submission: Submission) -> None:
    """Refuse a submission that no judge can work on.

    Raises:
        InputError: If there is no text, it is too long, or the criteria are those of another
            request.
    """
    task, criteria_set = submission["task"], submission["criteria_set"]
    reply = submitted(submission)
    if (text := reply.text) is None:
        raise InputError(f"expected a text to judge, got {reply.missing}")
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


def _first_verdicts(
    ballot: Ballot, questions: tuple[Criterion, ...]
) -> tuple[tuple[Verdict, ...], list[Dropped]]:
    """Keep the first verdict on each criterion; drop any other verdict of a custom judge."""
    first: dict[str, Verdict] = {}
    extra = []
    ids = {criterion.id for criterion in questions}
    for verdict in ballot.verdicts:
        if verdict.criterion_id in ids and verdict.criterion_id not in first:
            first[verdict.criterion_id] = verdict
        else:
            text = f"{verdict.criterion_id}: {verdict.score:g}"
            reason = "a verdict that was not asked for"
            extra.append(Dropped(stage="judging", agent="judge", reason=reason, text=text))
    return tuple(first.values()), extra
