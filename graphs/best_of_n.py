"""Best-of-N: independent drafts, judged alike, of which the best is taken.

It is the baseline that the reflection loop has to beat at equal tokens. The first draft tells what
drawing and judging one costs; as many more follow, side by side, as the tokens allow.
"""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.asking import lost_reply
from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.writing import Precedents, write_draft
from quillgraph.backends.errors import BudgetReached, ConfigError, InputError, ReplyError
from quillgraph.graphs import judging
from quillgraph.graphs.episode import Attempt, Episode
from quillgraph.graphs.workshop import Workshop

UNPAID = "best of n"
"""Stage of what was dropped because a budget was spent."""


class Contest(TypedDict):
    """What the graph starts from: give `tokens` or, as `n`, the number of drafts."""

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
    """Write one draft and judge it; one that cannot be judged stays without a reward."""
    studio, number = runtime.context, state["number"]
    try:
        written = await write_draft(
            state["task"],
            Precedents(),
            studio.writer,
            number=number,
            max_tokens=studio.text_tokens,
        )
    except (BudgetReached, ReplyError) as error:
        if number == 0:
            raise
        lost = (
            lost_reply("draft", studio.writer, error)
            if isinstance(error, ReplyError)
            else _unpaid(number, error)
        )
        return {"attempts": [], "dropped": [lost]}
    submission = judging.Submission(
        task=state["task"], criteria_set=state["criteria_set"], text=written.text
    )
    dropped = []
    try:
        found = await JUDGING.ainvoke(submission, context=studio)
        dropped = found.get("dropped", [])
    except BudgetReached as error:
        found = judging.unjudged(submission, studio.judge.name, str(error))
        dropped = [_unpaid(number, error)]
    except InputError as error:
        found = judging.unjudged(submission, studio.judge.name, str(error))
    attempt = Attempt(
        number=number, parent=None, text=written.text, judgement=found["judgement"],
        reward=found["reward"], decision="drawn", trace=written.trace,
    )  # fmt: skip
    return {"attempts": [attempt], "dropped": dropped}


async def draw_first(state: Contest, runtime: Runtime[Workshop]) -> FirstDrawn:
    """Draw the first draft, and take note of what it costs.

    Raises:
        ConfigError: If it is not said how many drafts, or how many tokens.
    """
    n, tokens = state.get("n"), state.get("tokens")
    given = [number for number in (n, tokens) if number is not None]
    if len(given) != 1 or given[0] < 1:
        raise ConfigError(f"expected either n or tokens, of 1 or more, got n={n}, tokens={tokens}")
    budget = runtime.context.writer.budget
    before = budget.tokens
    first = OneDraft(task=state["task"], criteria_set=state["criteria_set"], number=0)
    return {**await draw(first, runtime), "spent": budget.tokens - before}


def draw_more(state: BestOfN) -> list[Send] | str:
    """As many more drafts as the tokens, or the number, allow.

    Raises:
        ConfigError: If drafts are to cost tokens, and the backend does not count them.
    """
    if _budgets(state):
        return "choose"
    tokens, drafts = state.get("tokens"), state.get("n") or 1
    if tokens is not None:
        if not state["spent"]:
            raise ConfigError(
                "the writer's backend counts no tokens, so drafts for a number of tokens cannot be "
                "drawn; give n, the number of drafts"
            )
        drafts = tokens // state["spent"]
    sends = [
        Send(
            "draw",
            OneDraft(task=state["task"], criteria_set=state["criteria_set"], number=number),
        )
        for number in range(1, drafts)
    ]
    return sends or "choose"


def choose(state: BestOfN) -> Winner:
    """Take the draft with the fewest violations, and of these the one with the best reward."""
    drawn = sorted(state["attempts"], key=lambda attempt: attempt.number)
    attempts = tuple(
        attempt.model_copy(update={"number": place}) for place, attempt in enumerate(drawn)
    )
    best = min(attempts, key=_rank)
    ended = _budgets(state)
    number = f"{len(attempts)} draft{'s were' if len(attempts) > 1 else ' was'} drawn"
    return {
        "episode": Episode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=best.number,
            stopped=f"{number}, then {ended[0]}" if ended else number,
            is_complete=not ended,
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


def _unpaid(number: int, error: Exception) -> Dropped:
    return Dropped(stage=UNPAID, agent="budget", reason=str(error), text=f"draft {number}")


def _budgets(state: BestOfN) -> list[str]:
    """Which budgets ended the drawing."""
    return [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]


def _rank(attempt: Attempt) -> tuple[int, bool, float]:
    """A draft without a reward comes after all that have one."""
    value = attempt.reward.value
    return len(attempt.judgement.violated), value is None, -(value or 0.0)
