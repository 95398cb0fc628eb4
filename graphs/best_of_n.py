"""Best-of-N: independent drafts, judged alike, of which the best is taken.

It is the baseline that the reflection loop has to beat at equal tokens. The first draft tells what
drawing and judging one costs; as many more follow, side by side, as the tokens allow.
"""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.writing import Precedents, write_draft
from quillgraph.backends.errors import BudgetReached
from quillgraph.graphs import judging
from quillgraph.graphs.episode import Attempt, Episode
from quillgraph.graphs.workshop import Workshop


class Contest(TypedDict):
    """What the graph starts from: give `tokens`, or the number of drafts as `n`."""

    task: WritingTask
    criteria_set: CriteriaSet
    tokens: int | None
    """Most tokens, prompts and replies of writer and judge together."""
    n: int | None


class Winner(TypedDict):
    """What the graph gives."""

    episode: Episode


class BestOfN(Contest, Winner, total=False):
    """State of the graph."""

    spent: int
    """Tokens of the first draft and its judgement."""
    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class OneDraft(TypedDict):
    """Input of one drawing."""

    task: WritingTask
    criteria_set: CriteriaSet
    number: int


class Drawn(TypedDict):
    """What `draw` writes."""

    attempts: list[Attempt]
    dropped: list[Dropped]


class FirstDrawn(Drawn):
    """What `draw_first` writes."""

    spent: int


JUDGING = judging.build().compile()


async def draw(state: OneDraft, runtime: Runtime[Workshop]) -> Drawn:
    """Write one draft and judge it; one that the budget does not reach for is left out."""
    studio, number = runtime.context, state["number"]
    try:
        written = await write_draft(
            state["task"],
            Precedents(),
            studio.writer,
            number=number,
            max_tokens=studio.text_tokens,
        )
        found = await JUDGING.ainvoke(
            judging.Submission(
                task=state["task"], criteria_set=state["criteria_set"], text=written.text
            ),
            context=studio,
        )
    except BudgetReached as error:
        if number == 0:
            raise
        lost = Dropped(stage="best of n", agent="writer", reason=str(error), text=f"draft {number}")
        return {"attempts": [], "dropped": [lost]}
    attempt = Attempt(
        number=number,
        parent=None,
        text=written.text,
        judgement=found["judgement"],
        reward=found["reward"],
        decision="drawn",
        trace=written.trace,
    )
    return {"attempts": [attempt], "dropped": found.get("dropped", [])}


async def draw_first(state: Contest, runtime: Runtime[Workshop]) -> FirstDrawn:
    """Draw the first draft, and take note of what it costs."""
    budget = runtime.context.writer.budget
    before = budget.tokens
    first = OneDraft(task=state["task"], criteria_set=state["criteria_set"], number=0)
    return {**await draw(first, runtime), "spent": budget.tokens - before}


def draw_more(state: BestOfN) -> list[Send] | str:
    """As many more drafts as the tokens, or the number, allow."""
    more = (state.get("n") or 1) - 1
    tokens = state.get("tokens")
    if tokens is not None:
        more = max(0, tokens // max(1, state["spent"]) - 1)
    sends = [
        Send(
            "draw",
            OneDraft(task=state["task"], criteria_set=state["criteria_set"], number=number),
        )
        for number in range(1, more + 1)
    ]
    return sends or "choose"


def choose(state: BestOfN) -> Winner:
    """Take the draft with the fewest violations, and of these the one with the best reward."""
    drawn = sorted(state["attempts"], key=lambda attempt: attempt.number)
    attempts = tuple(
        attempt.model_copy(update={"number": place}) for place, attempt in enumerate(drawn)
    )
    best = min(attempts, key=_rank)
    return {
        "episode": Episode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=best.number,
            stopped=f"{len(attempts)} drafts were drawn",
            is_complete=not any(entry.stage == "best of n" for entry in state.get("dropped", [])),
            dropped=tuple(state.get("dropped", ())),
        )
    }


def build() -> StateGraph[BestOfN, Workshop, Contest, Winner]:
    """Wire the graph."""
    graph = StateGraph(BestOfN, context_schema=Workshop, input_schema=Contest, output_schema=Winner)
    graph.add_node("draw_first", draw_first)
    graph.add_node("draw", draw, input_schema=OneDraft)
    graph.add_node("choose", choose)
    graph.add_edge(START, "draw_first")
    graph.add_conditional_edges("draw_first", draw_more, ["draw", "choose"])
    graph.add_edge("draw", "choose")
    graph.add_edge("choose", END)
    return graph


def _rank(attempt: Attempt) -> tuple[int, bool, float]:
    """A draft without a reward comes after all that have one."""
    value = attempt.reward.value
    return len(attempt.judgement.violated), value is None, -(value or 0.0)
