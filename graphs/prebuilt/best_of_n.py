"""Best-of-N: write independent drafts, judge all of them, and take the best.

It is the baseline that the reflection loop has to beat at equal tokens. With a limit on tokens, the
drafts are sampled one after the other, while the tokens left cover the most expensive draft so far;
if they do not cover two drafts with their judgements, only code ranks them. With a number of
drafts, all are sampled concurrently.
"""

import operator
from typing import Annotated, NotRequired, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judgements import Judgement, Reward, checked, judged
from quillgraph.agents.judges import PromptedJudge, reward, text_for_judge
from quillgraph.agents.writers import Written, write_one_of
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode, best_of
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.prebuilt.credit import credit
from quillgraph.graphs.prebuilt.workshop import Workshop

UNPAID = "best of n"
"""Stage of drops that a spent budget has caused."""


class BestOfNInput(TypedDict):
    """Input of the graph: give `tokens` or, as `n`, the number of drafts."""

    task: WritingTask
    criteria_set: CriteriaSet
    tokens: NotRequired[int | None]
    """Limit in tokens: prompts and replies of writer and judge together, as the workshop's budget
    counts them; nothing else may use that budget meanwhile. The graph exceeds the limit by less
    than one draft."""
    n: NotRequired[int | None]


class BestOfNOutput(TypedDict):
    """Output of the graph."""

    episode: WrittenEpisode


class BestOfN(BestOfNInput, BestOfNOutput, total=False):
    """State of the graph."""

    costs: Annotated[list[int], operator.add]
    """Tokens of each draft with its judgement, if the limit is in tokens."""
    is_judged: bool
    """Whether the tokens pay for judgements; if not, only code ranks the drafts."""
    attempts: Annotated[list[Attempt], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class DrawInput(TypedDict):
    """Input of the node that writes one draft."""

    task: WritingTask
    criteria_set: CriteriaSet
    number: int


class DrawUpdate(TypedDict):
    """What `draw` writes."""

    attempts: list[Attempt]
    dropped: list[Dropped]


class DrawNextUpdate(DrawUpdate):
    """What `draw_next` writes."""

    costs: list[int]
    is_judged: bool


async def draw(state: DrawInput, runtime: Runtime[Workshop]) -> DrawUpdate:
    """Write one draft and judge it; a draft that cannot be judged gets no reward."""
    written = await _write(state, runtime.context)
    if isinstance(written, Dropped):
        return {"attempts": [], "dropped": [written]}
    return await _judge_draft(state, written, runtime.context)


async def draw_next(state: BestOfN, runtime: Runtime[Workshop]) -> DrawNextUpdate:
    """Write one more draft, and record its cost in tokens.

    The first draft decides whether drafts are judged at all: if the tokens do not cover two drafts
    with their judgements, a judge has nothing to choose between. The estimate of the judging cost
    is a lower bound, so near the limit a single draft may still be judged.

    Raises:
        ConfigError: If the limit is in tokens, and the backend does not count them.
    """
    studio, budget = runtime.context, runtime.context.writer.budget
    before, one = budget.tokens, _one(state, len(state.get("costs", [])))
    written = await _write(one, studio)
    if (cost := budget.tokens - before) == 0:
        raise ConfigError(
            "the writer's backend counts no tokens, so drafts for a number of tokens cannot be "
            "drawn; give n, the number of drafts"
        )
    is_judged = state.get("is_judged", False)
    if isinstance(written, Dropped):
        update: DrawUpdate = {"attempts": [], "dropped": [written]}
    else:
        if one["number"] == 0:
            highest = cost + _least(one, written.text, studio)
            is_judged = 2 * highest <= (state["tokens"] or 0)
        update = await (_judge_draft if is_judged else _check_draft)(one, written, studio)
    return {**update, "costs": [budget.tokens - before], "is_judged": is_judged}


def deal_drafts(state: BestOfNInput) -> list[Send] | str:
    """Start all drafts at once for a number of drafts, or the first one for a number of tokens.

    Raises:
        ConfigError: Unless exactly one of `n` and `tokens` is given, and is 1 or more.
    """
    n, tokens = state.get("n"), state.get("tokens")
    numbers = [number for number in (n, tokens) if number is not None]
    if len(numbers) != 1 or numbers[0] < 1:
        raise ConfigError(f"expected either n or tokens, of 1 or more, got n={n}, tokens={tokens}")
    if n is None:
        return "draw_next"
    return [Send("draw", _one(state, number)) for number in range(n)]


def enough(state: BestOfN) -> str:
    """Continue while the tokens cover the most expensive draft so far, and drafts can be ranked."""
    tokens_left = (state["tokens"] or 0) - sum(state["costs"])
    can_tell = state["is_judged"] or bool(checked(state["criteria_set"].criteria))
    goes_on = can_tell and tokens_left >= max(state["costs"]) and not _budgets(state)
    return "draw_next" if goes_on else "choose"


async def choose(state: BestOfN, runtime: Runtime[Workshop]) -> BestOfNOutput:
    """Choose the judged draft with the fewest violations and, among those, the best reward."""
    in_order = sorted(state["attempts"], key=lambda attempt: attempt.number)
    attempts = tuple(
        attempt.model_copy(update={"number": place}) for place, attempt in enumerate(in_order)
    )
    best = best_of(attempts)
    ended = _budgets(state)
    judgements = [attempt.judgement for attempt in attempts]
    uncredited = await credit(state["criteria_set"], judgements, runtime.context.library)
    number = f"{len(attempts)} draft{'s were' if len(attempts) > 1 else ' was'} drawn"
    if not state.get("is_judged", True) and judged(state["criteria_set"].criteria):
        number += f" and not judged: two with judgements take more than {state['tokens']} tokens"
    return {
        "episode": WrittenEpisode(
            task=state["task"],
            criteria_set=state["criteria_set"],
            attempts=attempts,
            best=best.number,
            stopped=f"{number}, then {ended[0]}" if ended else number,
            is_complete=not ended,
            dropped=(*state.get("dropped", ()), *uncredited),
        )
    }


def build() -> StateGraph[BestOfN, Workshop, BestOfNInput, BestOfNOutput]:
    """Wire the graph."""
    graph = StateGraph(
        BestOfN, context_schema=Workshop, input_schema=BestOfNInput, output_schema=BestOfNOutput
    )
    graph.add_node("draw", draw, input_schema=DrawInput)
    graph.add_node("draw_next", draw_next)
    graph.add_node("choose", choose)
    graph.add_conditional_edges(START, deal_drafts, ["draw", "draw_next"])
    graph.add_conditional_edges("draw_next", enough, ["draw_next", "choose"])
    graph.add_edge("draw", "choose")
    graph.add_edge("choose", END)
    return graph


async def _write(state: DrawInput, studio: Workshop) -> Written | Dropped:
    return await write_one_of(
        state["task"],
        studio.writer,
        number=state["number"],
        max_tokens=studio.text_tokens,
        unpaid=UNPAID,
    )


async def _judge_draft(state: DrawInput, written: Written, studio: Workshop) -> DrawUpdate:
    assessed = await judging.assess(_submission(state, written.text), studio)
    unpaid = [_unpaid(state["number"], assessed.unpaid)] if assessed.unpaid else []
    attempt = _attempt(state, written, assessed.judgement, assessed.reward)
    return {"attempts": [attempt], "dropped": [*assessed.dropped, *unpaid]}


async def _check_draft(state: DrawInput, written: Written, studio: Workshop) -> DrawUpdate:
    """Judge a draft by the checks of code alone."""
    judgement = await judging.judge_text(_submission(state, written.text), None)
    value = reward(judgement, state["criteria_set"], written.text)
    return {"attempts": [_attempt(state, written, judgement, value)], "dropped": []}


def _least(state: DrawInput, text: str, studio: Workshop) -> int:
    """Least number of tokens to judge a draft; 0 for a judge that is not prompted."""
    if not isinstance(studio.judge, PromptedJudge):
        return 0
    criteria = state["criteria_set"].criteria
    return studio.judge.least_tokens(state["task"], text_for_judge(text, criteria), criteria)


def _submission(state: DrawInput, text: str) -> judging.Submission:
    return judging.Submission(task=state["task"], criteria_set=state["criteria_set"], text=text)


def _attempt(state: DrawInput, written: Written, judgement: Judgement, value: Reward) -> Attempt:
    return Attempt(
        number=state["number"], parent=None, text=written.text, judgement=judgement,
        reward=value, decision="drawn", trace=written.trace,
        aside=written.aside,
    )  # fmt: skip


def _one(state: BestOfNInput, number: int) -> DrawInput:
    return DrawInput(task=state["task"], criteria_set=state["criteria_set"], number=number)


def _unpaid(number: int, reason: str) -> Dropped:
    return Dropped(stage=UNPAID, agent="budget", reason=reason, text=f"draft {number}")


def _budgets(state: BestOfN) -> list[str]:
    """Why drafts were not paid for: the budgets that are spent."""
    return [entry.reason for entry in state.get("dropped", []) if entry.stage == UNPAID]
