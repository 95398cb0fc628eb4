"""The inputs of the suite: prompts, a schema, tools, and a graph that makes a call."""

import pickle
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel, ConfigDict

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import QuillError

ASK = "Write a long story about the sea."
SLOWLY = "Write a long story about the sea, and take your time."
"""A request whose reply takes longer than a tenth of a second, where a backend takes time."""
ASK_AS_JSON = "Name a colour as JSON."
BRIEF = [SystemMessage("Be brief."), HumanMessage(ASK)]
TALK = [HumanMessage(ASK), AIMessage("Aye."), HumanMessage("Go on.")]


class Colour(BaseModel):
    """The schema of a reply to `ASK_AS_JSON`."""

    model_config = ConfigDict(extra="forbid")

    colour: Literal["green", "red"]


SCORE = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["score"],
    "additionalProperties": False,
}


QUOTED = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 9},
        "reason": {"type": "string", "pattern": r'^"[a-z]{2,6}"[\n\\]', "maxLength": 12},
    },
    "required": ["score", "reason"],
    "additionalProperties": False,
}
"""A bounded string that begins with a quotation, and a newline or a backslash after it."""


def look(place: Literal["sea", "hill"]) -> str:
    """Look at a place."""
    return f"The {place} is calm."


def wait(hours: int) -> str:
    """Let hours pass."""
    return f"{hours} hours later."


CALL = '<tool_call>\n{"name": "look", "arguments": {"place": "sea"}}\n</tool_call>'
"""A call of `look`, as small models write it."""
LOOK: dict[str, Any] = {"tools": [look], "tool_choice": "look"}
LOOKED = [
    HumanMessage(ASK),
    AIMessage("", tool_calls=[{"name": "look", "args": {"place": "sea"}, "id": "c1"}]),
    ToolMessage("The sea is calm.", tool_call_id="c1"),
]
"""A conversation in which the tool was called and has answered."""


async def in_a_graph(
    chat: ChatBackend,
    *heard_by: BaseCallbackHandler,
    saver: Any = None,
    most: int = 4,
    **options: Any,
) -> Any:
    """Make a call in a node of a graph, and return the graph."""

    async def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await chat.ainvoke(state["messages"], max_tokens=most, **options)]}

    graph = StateGraph(MessagesState).add_node("ask", ask).add_edge("__start__", "ask")
    compiled = graph.compile(checkpointer=saver)
    thread: Any = {"configurable": {"thread_id": "t"}, "callbacks": list(heard_by)}
    await compiled.ainvoke({"messages": [HumanMessage(ASK)]}, thread)
    return compiled


def assert_pickles(error: QuillError) -> None:
    """Check that a worker process can pass an error on."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
