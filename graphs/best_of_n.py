"""Best-of-N: independent drafts, judged alike, of which the best is taken.

It is the baseline that the reflection loop has to beat at equal tokens. For a number of tokens the
drafts are drawn one after the other, as long as the dearest so far could be paid once more; for
a number of drafts they are drawn side by side.
"""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.asking import lost_reply
from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.writing import Precedents, write_draft
from quillgraph.backends.errors import BudgetReached, ConfigError, ReplyError
from quillgraph.graphs import judging
from quillgraph.graphs.episode import Attempt, WrittenEpisode
from quillgraph.graphs.workshop import Workshop

UNPAID = "best of n"
"""Stage of what was dropped because a budget was spent."""


class Contest(TypedDict):
    """What the graph starts from: give `tokens` or, as `n`, the number of drafts."""

    task: WritingTask
    criteria_set: CriteriaSet
    tokens: int | None
    """Tokens to spend, prompts and replies of writer and judge together, as the workshop's budget
    counts them: nothing else may spend from it meanwhile. Passed by less than one draft."""
    n: int | None


class Winner(TypedDict):
    """What the graph gives."""

    episode: WrittenEpisode


class BestOfN(Contest, Winner, total=False):
    """State of the graph."""

    costs: Annotated[list[int], operator.add]
    """Tokens of each draft that was drawn for a number of tokens, with its judgement."""
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


class DrawnAtCost(Drawn):
    """What `draw_next` writes."""

    costs: list[int]


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
            else _unpaid(number, str(error))
        )
        return {"attempts": [], "dropped": [lost]}
    submission = judging.Submission(
        task=state["task"], criteria_set=state["criteria_set"], text=written.text
    )
    found = await judging.assess(submission, studio)
    dropped = [*found.dropped, *([_unpaid(number, found.unpaid)] if found.unpaid else [])]
    attempt = Attempt(
        number=number, parent=None, text=written.text, judgement=found.judgement,
        reward=found.reward, decision="drawn", trace=written.trace,
    )  # fmt: skip
    return {"attempts": [attempt], "dropped": dropped}


async def draw_next(state: BestOfN, runtime: Runtime[Workshop]) -> DrawnAtCost:
    """Draw one more draft, and take note of what it costs.

    Raises:
        ConfigError: If drafts are to cost tokens, and the backend does not count them.
    """
    budget = runtime.context.writer.budget
    before, number = budget.tokens, len(state.get("costs", []))
    drawn = await draw(_one(state, number), runtime)
    if (cost := budget.tokens - before) == 0:
        raise ConfigError(
            "the writer's backend counts no tokens, so drafts for a number of tokens cannot be "
            "drawn; give n, the number of drafts"
        )
    return {**drawn, "costs": [cost]}


def deal_drafts(state: Contest) -> list[Send] | str:
    """All drafts at once for a number of them, one after the other for a number of tokens.

    Raises:
        ConfigError: If it is not said how many drafts, or how many tokens.
    """
    n, tokens = state.get("n"), state.get("tokens")
    given = [number for number in (n, tokens) if number is not None]
    if len(given) != 1 or given[0] < 1:
        raise ConfigError(f"expected either n or tokens, of 1 or more, got n={n}, tokens={tokens}")
    if n is None:
        return "draw_next"
    return [Send("draw", _one(state, number)) for number in range(n)]


def enough(state: BestOfN) -> str:
    """Go on while the dearest draft so far could be paid once more."""
    left = (state["tokens"] or 0) - sum(state["costs"])
    return "choose" if _budgets(state) or left < max(state["costs"]) else "draw_next"


def choose(state: BestOfN) -> Winner:
    """Take the judged draft with the fewest violations, and of these the best reward."""
    drawn = sorted(state["attempts"], key=lambda attempt: attempt.number)
    attempts = tuple(
        attempt.model_copy(update={"number": place}) for place, attempt in enumerate(drawn)
    )
    best = min(attempts, key=_rank)
    ended = _budgets(state)
    number = f"{len(attempts)} draft{'s were' if len(attempts) > 1 else ' was'} drawn"
    return {
        "episode": WrittenEpisode(
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
    graph.add_node("draw", draw, input_schema=OneDraft)
    graph.add_node("draw_next", draw_next)
    graph.add_node("choose", choose)
    graph.add_conditional_edges(START, deal_drafts, ["draw", "draw_next"])
    graph.add_conditional_edges("draw_next", enough, ["draw_next", "choose"])
    graph.add_edge("draw", "choose")
    graph.add_edge("choose", END)
    return graph


def _one(state: Contest, number: int) -> OneDraft:
    return OneDraft(task=state["task"], criteria_set=state["criteria_set"], number=number)


def _unpaid(number: int, reason: str) -> Dropped:
    return Dropped(stage=UNPAID, agent="budget", reason=reason, text=f"draft {number}")


def _budgets(state: BestOfN) -> list[str]:
    """Which budgets ended the drawing."""
    return [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]


def _rank(attempt: Attempt) -> tuple[bool, int, float]:
    """A draft without a reward comes after all that have one."""
    value = attempt.reward.value
    return value is None, len(attempt.judgement.violated), -(value or 0.0)
