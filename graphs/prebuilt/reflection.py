"""The reflection loop with memory: MRPO without training (`ALGORITHM.md` 6.4).

Draft, judge, reflect, plan, revise, judge again, and accept or roll back. "Controlled" is
a guarantee of `agents.writers.acceptance`: by the same scores, the returned text is never worse
than the first draft, breaks no demand that the draft met, and loses at most a point on any
essential criterion.
"""

from collections.abc import Callable
from typing import Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.domain import Criterion, Dropped
from quillgraph.agents.judgements import BEST_SCORE, Judgement, Reward, judged
from quillgraph.agents.memory import Lesson
from quillgraph.agents.replies import NOTHING_ASIDE, Aside
from quillgraph.agents.role import lost_reply
from quillgraph.agents.writers import (
    Plan,
    Precedents,
    Reflection,
    plan_edits,
    reflect,
    refusals,
    revise,
    stop_reason,
    weakest,
    write_draft,
)
from quillgraph.backends.errors import BudgetReached, ContextOverflow, ReplyError, StorageError
from quillgraph.backends.messages import TokenTrace
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.memory.memory import excerpt
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.prebuilt.credit import credit
from quillgraph.graphs.prebuilt.learning import Learned, Lived, learn_from
from quillgraph.graphs.prebuilt.workshop import Assignment, Reflecting, ReflectionOutput, Workshop


class RecallUpdate(TypedDict):
    """What `recall` writes."""

    precedents: Precedents
    shown: tuple[Lesson, ...]
    lessons: tuple[Lesson, ...]


class Ended(TypedDict, total=False):
    """Update of a node that ends the loop."""

    stopped: str
    is_complete: bool
    dropped: list[Dropped]


class TextUpdate(TypedDict):
    """What `draft` and `revise_text` write."""

    text: str
    trace: TokenTrace | None
    aside: Aside


class ReflectUpdate(TypedDict):
    """What `reflect_on_best` writes."""

    reflections: tuple[Reflection, ...]
    dropped: list[Dropped]


class PlanUpdate(TypedDict):
    """What `lay_plan` writes."""

    plan: Plan


class JudgeUpdate(Ended):
    """What `judge` writes."""

    judgement: Judgement
    reward: Reward


class DecideUpdate(TypedDict, total=False):
    """What `decide` writes."""

    attempts: list[Attempt]
    best: int
    stopped: str | None


async def recall(state: Reflecting, runtime: Runtime[Workshop]) -> RecallUpdate:
    """Recall lessons of earlier episodes: for all criteria at first, then for the weakest ones."""
    memory, known = runtime.context.memory, state.get("lessons", ())
    if memory is None:
        return {"precedents": Precedents(), "shown": (), "lessons": known}
    about = _weakest(state) if state.get("attempts") else judged(state["criteria_set"].criteria)
    precedents = await memory.recall(state["task"], [criterion.name for criterion in about])
    new = tuple(lesson for lesson in precedents.lessons if lesson.id not in {k.id for k in known})
    return {
        "precedents": Precedents(
            lessons=tuple(lesson.text for lesson in precedents.lessons),
            success=excerpt(precedents.success.text) if precedents.success else None,
            error=excerpt(precedents.error.text) if precedents.error else None,
            excerpts=tuple(each.id for each in (precedents.success, precedents.error) if each),
        ),
        "shown": precedents.lessons,
        "lessons": (*known, *new),
    }


async def draft(state: Reflecting, runtime: Runtime[Workshop]) -> TextUpdate:
    """Write the first text."""
    studio = runtime.context
    written = await write_draft(
        state["task"],
        state["precedents"],
        studio.writer,
        number=0,
        max_tokens=studio.text_tokens,
    )
    return {"text": written.text, "trace": written.trace, "aside": written.aside}


async def reflect_on_best(state: Reflecting, runtime: Runtime[Workshop]) -> ReflectUpdate | Ended:
    """Ask the reflector what makes the best text so far weak on its weakest criteria."""
    best = _best(state)
    try:
        answers = await reflect(
            state["task"],
            best.text,
            [c for c in _weakest(state) if best.judgement.scores[c.id] < BEST_SCORE],
            best.judgement,
            runtime.context.reflector,
            lessons=(*state["precedents"].lessons, *_refused_edits(state)),
            number=len(state["attempts"]),
        )
    except BudgetReached as error:
        return _budget_spent(error)
    except ContextOverflow as error:
        return {"stopped": str(error)}
    return {"reflections": answers.items, "dropped": list(answers.dropped)}


def lay_plan(state: Reflecting) -> PlanUpdate | Ended:
    """Plan at most three edits; end the loop if there is none."""
    edits = plan_edits(state["criteria_set"], _best(state).judgement, state["reflections"])
    if not edits.edits:
        return {"stopped": "the reflector found nothing to revise"}
    return {"plan": edits}


async def revise_text(state: Reflecting, runtime: Runtime[Workshop]) -> TextUpdate | Ended:
    """Revise the best text so far by the plan."""
    studio = runtime.context
    try:
        written = await revise(
            state["task"],
            _best(state).text,
            state["plan"],
            studio.writer,
            lessons=state["precedents"].lessons,
            number=len(state["attempts"]),
            max_tokens=studio.text_tokens,
        )
    except BudgetReached as error:
        return _budget_spent(error)
    except ContextOverflow as error:
        return {"stopped": str(error)}
    except ReplyError as error:
        drop = lost_reply("revision", studio.writer, error)
        return {"stopped": "the writer gave no revision", "dropped": [drop]}
    return {"text": written.text, "trace": written.trace, "aside": written.aside}


async def judge(state: Reflecting, runtime: Runtime[Workshop]) -> JudgeUpdate:
    """Judge the text; if it is too long, or the budget is spent, its verdicts are missing."""
    submission = judging.Submission(
        task=state["task"], criteria_set=state["criteria_set"], text=state["text"]
    )
    if state.get("attempts") and state["text"] == _best(state).text:
        return {"judgement": _best(state).judgement, "reward": _best(state).reward}
    assessed = await judging.assess(submission, runtime.context)
    update = JudgeUpdate(
        judgement=assessed.judgement, reward=assessed.reward, dropped=assessed.dropped
    )
    if assessed.unpaid:
        update.update({"stopped": assessed.unpaid, "is_complete": False})
    return update


def decide(state: Reflecting, runtime: Runtime[Workshop]) -> DecideUpdate:
    """Accept the text or roll back to the best one before, and decide whether to go on."""
    attempts, outcome = state.get("attempts", []), (state["judgement"], state["reward"])
    attempt = _attempt(state, outcome)
    best = attempt if attempt.decision != "refused" else _best(state)
    decisions = [a.decision == "accepted" for a in (*attempts, attempt) if a.number]
    stopped = state.get("stopped") or stop_reason(
        state["criteria_set"],
        (best.judgement, best.reward),
        decisions,
        runtime.context.rounds,
    )
    return {"attempts": [attempt], "best": best.number, "stopped": stopped}


async def learn(state: Reflecting, runtime: Runtime[Workshop]) -> Learned:
    """Save the episode's texts and lessons to memory, and its scores to the library."""
    memory, judgements = runtime.context.memory, [each.judgement for each in state["attempts"]]
    uncredited = await credit(state["criteria_set"], judgements, runtime.context.library)
    if memory is None:
        return {"learned": (), "dropped": uncredited}
    lived = Lived(
        task=state["task"],
        criteria_set=state["criteria_set"],
        attempts=state["attempts"],
        best=state["best"],
    )
    try:
        learned = await learn_from(lived, memory, runtime.context.consolidator)
    except StorageError as error:  # a full disk must not cost the finished text
        drop = Dropped(stage="memory", agent="memory", reason=str(error), text="the episode")
        return {"learned": (), "dropped": [*uncredited, drop]}
    return {**learned, "dropped": [*uncredited, *learned["dropped"]]}


def close(state: Reflecting) -> ReflectionOutput:
    """Write the episode."""
    return {
        "episode": WrittenEpisode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            lessons=state["lessons"],
            attempts=tuple(state["attempts"]),
            best=state["best"],
            stopped=str(state["stopped"]),
            is_complete=state.get("is_complete", True),
            learned=state["learned"],
            dropped=tuple(state.get("dropped", ())),
        )
    }


def draft_or_reflect(state: Reflecting) -> Literal["draft", "reflect"]:
    """Draft the first text; start each later one with a reflection."""
    return "reflect" if state.get("attempts") else "draft"


def unless_stopped(then: str) -> Callable[[Reflecting], str]:
    """Make an edge that goes on to a node, or ends the loop if it has stopped."""
    return lambda state: "learn" if state.get("stopped") else then


def build() -> StateGraph[Reflecting, Workshop, Assignment, ReflectionOutput]:
    """Wire the loop."""
    graph = StateGraph(
        Reflecting, context_schema=Workshop, input_schema=Assignment, output_schema=ReflectionOutput
    )
    graph.add_node("recall", recall)
    graph.add_node("draft", draft)
    graph.add_node("judge", judge)
    graph.add_node("decide", decide)
    graph.add_node("reflect", reflect_on_best)
    graph.add_node("plan", lay_plan)
    graph.add_node("revise", revise_text)
    graph.add_node("learn", learn)
    graph.add_node("close", close)
    graph.add_edge(START, "recall")
    graph.add_conditional_edges("recall", draft_or_reflect, ["draft", "reflect"])
    graph.add_edge("draft", "judge")
    graph.add_edge("judge", "decide")
    for node, then in (
        ("decide", "recall"),
        ("reflect", "plan"),
        ("plan", "revise"),
        ("revise", "judge"),
    ):
        graph.add_conditional_edges(node, unless_stopped(then), [then, "learn"])
    graph.add_edge("learn", "close")
    graph.add_edge("close", END)
    return graph


def _best(state: Reflecting) -> Attempt:
    return state["attempts"][state["best"]]


def _refused_edits(state: Reflecting) -> tuple[str, ...]:
    """Edits to the best text that were rolled back, so that the reflector plans others."""
    return tuple(
        f"Already tried and rolled back: {edit.fix}"
        for attempt in state["attempts"]
        if attempt.parent == state["best"] and attempt.decision == "refused" and attempt.plan
        for edit in attempt.plan.edits
    )


def _weakest(state: Reflecting) -> tuple[Criterion, ...]:
    return weakest(state["criteria_set"], _best(state).judgement)


def _budget_spent(error: BudgetReached) -> Ended:
    return {"stopped": str(error), "is_complete": False}


def _attempt(state: Reflecting, outcome: tuple[Judgement, Reward]) -> Attempt:
    """The current text as an attempt, with the decision on it."""
    attempts = state.get("attempts", [])
    attempt = Attempt(
        number=len(attempts),
        parent=None,
        text=state["text"],
        plan=state.get("plan"),
        lessons=tuple(lesson.id for lesson in state["shown"]),
        excerpts=state["precedents"].excerpts if not attempts else (),
        judgement=outcome[0],
        reward=outcome[1],
        decision="first",
        trace=state.get("trace"),
        aside=state.get("aside", NOTHING_ASIDE),
    )
    if not attempts:
        return attempt
    best, first = _best(state), attempts[0]
    reasons = refusals(
        state["criteria_set"],
        outcome,
        (best.judgement, best.reward),
        (first.judgement, first.reward),
    )
    return attempt.model_copy(
        update={
            "parent": best.number,
            "delta": _change(best.reward, outcome[1]),
            "decision": "refused" if reasons else "accepted",
            "reasons": reasons,
        }
    )


def _change(before: Reward, after: Reward) -> float | None:
    if before.value is None or after.value is None:
        return None
    return after.value - before.value
