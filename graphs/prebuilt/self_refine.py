"""Self-Refine (arXiv:2303.17651): draft, then feedback and revision in turn; return the last text.

It is the baseline without criteria that the reflection loop has to beat at equal tokens.
"""

import operator
from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.role import Role
from quillgraph.agents.writers import Precedents, criticise, refine, write_draft
from quillgraph.backends.errors import ConfigError, ContextOverflow


@dataclass(frozen=True, slots=True)
class Desk:
    """The run-time context: one model, which also criticises itself."""

    writer: Role
    text_tokens: int = 512
    """Most tokens of a text."""


class SelfRefineInput(TypedDict):
    """Input of the graph: give `tokens` or, as `rounds`, the number of revisions."""

    task: WritingTask
    tokens: NotRequired[int | None]
    """Limit in tokens: prompts and replies together, as the writer's budget counts them; nothing
    else may use that budget meanwhile. The graph exceeds the limit by less than one round."""
    rounds: NotRequired[int | None]


class SelfRefineOutput(TypedDict):
    """Output of the graph."""

    text: str


class Refining(SelfRefineInput, SelfRefineOutput, total=False):
    """State of the graph."""

    costs: Annotated[list[int], operator.add]
    """Tokens of the draft, then of each round."""
    stopped: bool
    """Whether the text no longer fits the model's context window."""


class RefineUpdate(TypedDict, total=False):
    """What both nodes write."""

    text: str
    costs: list[int]
    stopped: bool


async def draft(state: SelfRefineInput, runtime: Runtime[Desk]) -> RefineUpdate:
    """Write the first text.

    Raises:
        ConfigError: Unless exactly one of `tokens` and `rounds` is given, and is 1 or more; or if
            the limit is in tokens and the backend counts none.
    """
    tokens, rounds, desk = state.get("tokens"), state.get("rounds"), runtime.context
    numbers = [number for number in (tokens, rounds) if number is not None]
    if len(numbers) != 1 or numbers[0] < 1:
        raise ConfigError(
            f"expected either tokens or rounds, of 1 or more, got tokens={tokens}, rounds={rounds}"
        )
    before = desk.writer.budget.tokens
    written = await write_draft(
        state["task"], Precedents(), desk.writer, number=0, max_tokens=desk.text_tokens
    )
    cost = desk.writer.budget.tokens - before
    if tokens is not None and cost == 0:
        raise ConfigError(
            "the writer's backend counts no tokens, so it cannot refine for a number of tokens; "
            "give rounds, the number of revisions"
        )
    return {"text": written.text, "costs": [cost]}


async def refine_once(state: Refining, runtime: Runtime[Desk]) -> RefineUpdate:
    """Criticise the text and write it again."""
    desk, number = runtime.context, len(state["costs"])
    before = desk.writer.budget.tokens
    try:
        criticism = await criticise(state["task"], state["text"], desk.writer, number=number)
        text = await refine(
            state["task"],
            state["text"],
            criticism,
            desk.writer,
            number=number,
            max_tokens=desk.text_tokens,
        )
    except ContextOverflow:
        return {"stopped": True}
    return {"text": text, "costs": [desk.writer.budget.tokens - before]}


def enough(state: Refining) -> str:
    """Continue while the tokens cover the most expensive step so far, or rounds are left."""
    costs, tokens, rounds = state["costs"], state.get("tokens"), state.get("rounds")
    if state.get("stopped"):
        return END
    if tokens is not None:
        return END if tokens - sum(costs) < max(costs) else "refine"
    return END if len(costs) > (rounds or 0) else "refine"


def build() -> StateGraph[Refining, Desk, SelfRefineInput, SelfRefineOutput]:
    """Wire the graph."""
    graph = StateGraph(
        Refining, context_schema=Desk, input_schema=SelfRefineInput, output_schema=SelfRefineOutput
    )
    graph.add_node("draft", draft)
    graph.add_node("refine", refine_once)
    graph.add_edge(START, "draft")
    graph.add_conditional_edges("draft", enough, ["refine", END])
    graph.add_conditional_edges("refine", enough, ["refine", END])
    return graph
