"""Theoretical sampling: write drafts, and have an observer read them without their authors."""

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
    """Input of the stage."""

    task: WritingTask


class SamplingOutput(TypedDict):
    """Output of the stage."""

    drafts: Annotated[list[Draft], operator.add]
    incidents: Annotated[list[Incident], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class SamplingState(SamplingInput, SamplingOutput):
    """State of the stage."""


class SampleInput(TypedDict):
    """Input of a call that samples one draft."""

    task: WritingTask
    number: int


class ReadInput(TypedDict):
    """Input of the observation of one draft."""

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
    """Sample all drafts concurrently."""
    sends = [
        Send("draw", SampleInput(task=state["task"], number=number))
        for number in range(runtime.context.drafts)
    ]
    return sends or END


async def draw(state: SampleInput, runtime: Runtime[Study]) -> Command[Literal["read", "__end__"]]:
    """Sample one draft; send it to the observer if it is long enough and in a right language."""
    study = runtime.context
    sample = await draft_sample(
        state["task"], state["number"], study.sampler, max_tokens=study.draft_tokens
    )
    if sample is None:
        drop = Dropped(
            stage="sampling", agent="sampler", reason="too short twice", text=str(state["number"])
        )
        return Command(update=SampleUpdate(dropped=[drop]), goto="__end__")
    if foreign := _foreign_language(sample, state["task"]):
        drop = Dropped(
            stage="sampling", agent="sampler", reason=f"written in {foreign}", text=sample.text
        )
        return Command(update=SampleUpdate(dropped=[drop]), goto="__end__")
    reading = ReadInput(task=state["task"], draft=sample)
    return Command(update=SampleUpdate(drafts=[sample]), goto=Send("read", reading))


async def read(state: ReadInput, runtime: Runtime[Study]) -> ReadUpdate:
    """Have the observer note how one draft affects its reader."""
    notes = await observe(
        state["task"], state["draft"], runtime.context.observer, runtime.context.embeddings
    )
    return {"incidents": list(notes.items), "dropped": list(notes.dropped)}


def _foreign_language(draft: Draft, task: WritingTask) -> str | None:
    """Name the language of a draft if it is clearly one that the request does not allow."""
    constraints = find_constraints(segment(task), task.language)
    demanded = {c.check.language for c in constraints if isinstance(c.check, WrittenIn)}
    return foreign_language(draft.text, task.request, language=task.language, demanded=demanded)


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
