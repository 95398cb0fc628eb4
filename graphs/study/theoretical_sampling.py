"""Theoretical sampling: drafts are written, then read by an observer who knows no author."""

import operator
from typing import Annotated, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from quillgraph.agents.checks import WrittenIn
from quillgraph.agents.checks.language import foreign_language
from quillgraph.agents.domain import Draft, Dropped, Incident, WritingTask
from quillgraph.agents.grounded_theory import draft_sample, observe
from quillgraph.agents.requests import find_constraints, segment
from quillgraph.graphs.study.state import Study


class SamplingInput(TypedDict):
    """What the stage starts from."""

    task: WritingTask


class SamplingOutput(TypedDict):
    """What the stage gives."""

    drafts: Annotated[list[Draft], operator.add]
    incidents: Annotated[list[Incident], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class SamplingState(SamplingInput, SamplingOutput):
    """State of the stage."""


class SampleInput(TypedDict):
    """Input of one drawing."""

    task: WritingTask
    number: int


class ReadInput(TypedDict):
    """Input of one observation."""

    task: WritingTask
    draft: Draft


class SampleUpdate(TypedDict, total=False):
    """What `draw` writes."""

    drafts: list[Draft]
    dropped: list[Dropped]


class ReadUpdate(TypedDict):
    """What `read` writes."""

    incidents: list[Incident]
    dropped: list[Dropped]


def fan_out(state: SamplingInput, runtime: Runtime[Study]) -> list[Send] | str:
    """One drawing per draft."""
    sends = [
        Send("draw", SampleInput(task=state["task"], number=number))
        for number in range(runtime.context.drafts)
    ]
    return sends or END


async def draw(state: SampleInput, runtime: Runtime[Study]) -> Command[Literal["read", "__end__"]]:
    """Write one draft and hand it to the observer."""
    study = runtime.context
    drawn = await draft_sample(
        state["task"], state["number"], study.sampler, max_tokens=study.draft_tokens
    )
    if drawn is None:
        lost = Dropped(
            stage="sampling", agent="sampler", reason="too short twice", text=str(state["number"])
        )
        return Command(update=SampleUpdate(dropped=[lost]), goto="__end__")
    if foreign := _foreign_language(drawn, state["task"]):
        lost = Dropped(
            stage="sampling", agent="sampler", reason=f"written in {foreign}", text=drawn.text
        )
        return Command(update=SampleUpdate(dropped=[lost]), goto="__end__")
    reading = ReadInput(task=state["task"], draft=drawn)
    return Command(update=SampleUpdate(drafts=[drawn]), goto=Send("read", reading))


async def read(state: ReadInput, runtime: Runtime[Study]) -> ReadUpdate:
    """Note what one draft does to its reader."""
    notes = await observe(
        state["task"], state["draft"], runtime.context.observer, runtime.context.embeddings
    )
    return {"incidents": list(notes.items), "dropped": list(notes.dropped)}


def _foreign_language(drawn: Draft, task: WritingTask) -> str | None:
    """Name the language of a draft that is clearly in none that the request allows."""
    constraints = find_constraints(segment(task), task.language)
    demanded = {c.check.language for c in constraints if isinstance(c.check, WrittenIn)}
    return foreign_language(drawn.text, task.request, language=task.language, demanded=demanded)


def build() -> StateGraph[SamplingState, Study, SamplingInput, SamplingOutput]:
    """Wire the stage."""
    graph = StateGraph(
        SamplingState,
        context_schema=Study,
        input_schema=SamplingInput,
        output_schema=SamplingOutput,
    )
    graph.add_node("draw", draw, input_schema=SampleInput)
    graph.add_node("read", read, input_schema=ReadInput)
    graph.add_conditional_edges(START, fan_out, ["draw", END])
    graph.add_edge("read", END)
    return graph
