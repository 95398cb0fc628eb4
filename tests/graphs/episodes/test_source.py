"""Which model plays which role in a graph."""

from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel

from quillgraph.agents.role import Role, say
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.episodes.source import episode_source


class Text(TypedDict, total=False):
    request: str
    text: str


@dataclass
class Cast:
    """A foreign graph's context."""

    writer: BaseChatModel
    editor: Role
    most_words: int = 40


class Names(TypedDict):
    writer: BaseChatModel


class Answer(BaseModel):
    words: str


async def write(state: Text, runtime: Runtime[Cast]) -> Text:
    return {"text": str((await runtime.context.writer.ainvoke("draft")).content)}


async def edit(state: Text, runtime: Runtime[Cast]) -> Text:
    from langchain_core.messages import HumanMessage

    reply = await say(runtime.context.editor, [HumanMessage("edit")], item="t")
    return {"text": f"{reply.content}, {runtime.context.most_words} words"}


def graph_of(*nodes: Any, schema: Any = Cast) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Text, context_schema=schema)
    graph.add_sequence(nodes)
    graph.add_edge(START, nodes[0].__name__)
    return graph


def says(words: str) -> ScriptedChat:
    return ScriptedChat(reply=lambda _: words)


def cast() -> dict[str, BaseChatModel]:
    return {"writer": says("a draft"), "editor": says("edited")}


async def test_roles_reach_the_fields_of_a_context_and_mark_their_calls() -> None:
    episode = await run_graph(graph_of(write, edit), "Fog.", roles=cast(), trainable={"writer"})
    assert [(c.node, c.role, c.reply) for c in episode.calls] == [
        ("write", "writer", "a draft"),
        ("edit", "editor", "edited"),
    ]
    assert episode.output == {"request": "Fog.", "text": "edited, 40 words"}
    assert (episode.trainable, episode.failure, episode.dropped) == (("writer",), None, ())


@pytest.mark.parametrize("as_class", [False, True])
async def test_roles_join_the_rest_of_the_context(as_class: bool) -> None:
    context = Cast(says("no"), Role("editor", says("no")), 7) if as_class else {"most_words": 7}
    episode = await run_graph(graph_of(write, edit), "Fog.", roles=cast(), context=context)
    assert episode.output is not None
    assert episode.output["text"] == "edited, 7 words"


async def test_a_role_stays_with_what_is_made_of_its_model() -> None:
    async def ask(state: Text, runtime: Runtime[Names]) -> Text:
        bound = runtime.context["writer"].bind(temperature=0.0)
        await bound.ainvoke("bound")
        structured = runtime.context["writer"].with_structured_output(Answer)
        formed = await structured.ainvoke("formed")
        assert isinstance(formed, Answer)
        return {"text": formed.words}

    model = says('{"words": "in form"}')
    episode = await run_graph(graph_of(ask, schema=Names), "Fog.", roles={"writer": model})
    assert [call.role for call in episode.calls] == ["writer", "writer"]
    assert episode.output is not None
    assert episode.output["text"] == "in form"


async def test_the_same_model_can_play_two_roles() -> None:
    model = says("same")
    episode = await run_graph(
        graph_of(write, edit), "Fog.", roles={"writer": model, "editor": model}
    )
    assert [call.role for call in episode.calls] == ["writer", "editor"]


async def test_a_role_that_the_context_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown role 'wirter': did you mean 'writer'"):
        await run_graph(graph_of(write), "Fog.", roles={"wirter": says("a")})
    with pytest.raises(ConfigError, match="takes no context"):
        await run_graph(graph_of(write, schema=None), "Fog.", roles={"writer": says("a")})


@pytest.mark.parametrize("schema", [Cast, Names])
async def test_a_context_that_lacks_a_role_is_refused_before_the_run(schema: Any) -> None:
    with pytest.raises(ConfigError, match=r"needs .*writer"):
        await run_graph(graph_of(write, schema=schema), "Fog.")


async def test_a_trainable_role_whose_backend_gives_no_ids_is_refused() -> None:
    foreign = FakeListChatModel(responses=["a"])
    with pytest.raises(ConfigError, match="role 'writer' needs token_ids, logprobs"):
        await run_graph(
            graph_of(write, edit), "Fog.", roles={**cast(), "writer": foreign}, trainable=["writer"]
        )
    whole = Cast(says("a"), Role("editor", foreign))
    with pytest.raises(ConfigError, match="role 'editor' needs"):
        await run_graph(graph_of(write, edit), "Fog.", context=whole, trainable=["editor"])


@pytest.mark.parametrize("name", ["wrtier", "writr", "Writer", "edditor"])
async def test_a_trainable_role_that_is_misspelt_is_refused_before_the_first_call(
    name: str,
) -> None:
    with pytest.raises(ConfigError, match=f"no role or node '{name}': did you mean"):
        episode_source(graph_of(write, edit), roles=cast(), trainable={name})


async def test_a_trainable_role_that_nobody_knows_is_told_and_excludes_the_episode(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = episode_source(graph_of(write, edit), roles=cast(), trainable={"auhtor"})
    assert "no role or node 'auhtor' is known before the graph runs" in caplog.text
    episode = await run_graph(source, "Fog.")
    assert episode.failure is not None
    assert episode.failure.kind == "role"
    assert "'auhtor'" in episode.failure.reason
    assert "valid: edit, editor, write, writer" in episode.failure.reason


async def test_a_role_without_a_call_is_noted_and_one_that_was_to_learn_excludes() -> None:
    frozen = await run_graph(graph_of(write), "Fog.", roles=cast(), trainable={"writer"})
    assert frozen.failure is None
    assert [(d.agent, d.reason) for d in frozen.dropped] == [
        ("editor", "no call was made in this role")
    ]
    learning = await run_graph(graph_of(write), "Fog.", roles=cast(), trainable={"editor"})
    assert learning.failure is not None
    assert learning.failure.kind == "role"
    assert "calls were made by: writer" in learning.failure.reason


async def test_where_no_role_is_named_the_node_is_the_role() -> None:
    model = says("a")

    async def compose(state: Text) -> Text:
        return {"text": str((await model.ainvoke("go")).content)}

    episode = await run_graph(graph_of(compose, schema=None), "Fog.", trainable={"compose"})
    assert (episode.failure, episode.dropped) == (None, ())
