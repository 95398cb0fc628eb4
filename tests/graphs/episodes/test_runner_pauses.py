"""A run of which nodes wait is not over: for answers, or at a breakpoint."""

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt

from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.episode import Episode, Question
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.episodes.source import Declined

Graph = StateGraph[Any, Any, Any, Any]


class Plan(TypedDict, total=False):
    request: str
    parts: Annotated[list[str], operator.add]


def asker(question: str) -> Any:
    def ask(state: Plan) -> Plan:
        return {"parts": [interrupt(question)]}

    return ask


def writer(text: str) -> Any:
    def write(state: Plan) -> Plan:
        return {"parts": [text]}

    return write


def scene(*, third: bool = False) -> Graph:
    """Two nodes that ask in one step, maybe a plain one beside them, and a join."""
    graph = StateGraph(Plan)
    beside = ["tone", "ending", *(["plain"] if third else [])]
    for name in beside:
        graph.add_node(name, writer("plain") if name == "plain" else asker(f"{name}?"))
        graph.add_edge(START, name)
    graph.add_node("join", writer("join"))
    graph.add_edge(beside, "join")
    return graph


def chain(*names: str) -> Graph:
    graph = StateGraph(Plan)
    graph.add_sequence([(name, writer(name)) for name in names])
    graph.add_edge(START, names[0])
    return graph


def around(inner: Any) -> Graph:
    graph = StateGraph(Plan)
    graph.add_node("inner", inner)
    graph.add_node("end", writer("end"))
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "end")
    return graph


def parts(episode: Episode) -> list[str]:
    return sorted((episode.output or {})["parts"])


def open_questions(episode: Episode) -> dict[str, str]:
    """The value of each open question to its node."""
    assert episode.failure is not None
    assert episode.failure.kind == "interrupt"
    assert not episode.is_complete
    assert episode.output is None
    return {str(each.value): each.node for each in episode.failure.questions}


async def both(question: Any) -> Any:
    return {"tone?": "warm", "ending?": "open"}[question]


async def tone_alone(question: Any) -> Any:
    if question != "tone?":
        raise Declined
    return "warm"


@pytest.mark.parametrize("saver", [None, InMemorySaver])
@pytest.mark.parametrize("third", [False, True])
async def test_all_questions_of_a_step_stay_open_without_an_answer(third: bool, saver: Any) -> None:
    graph = scene(third=third).compile(checkpointer=saver and saver())
    episode = await run_graph(graph, "Write of fog.")
    assert open_questions(episode) == {"tone?": "tone", "ending?": "ending"}
    assert episode.failure
    assert len({each.id for each in episode.failure.questions}) == 2
    assert all(each.id in episode.failure.reason for each in episode.failure.questions)
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


@pytest.mark.parametrize("third", [False, True])
async def test_with_all_answers_the_join_runs(third: bool) -> None:
    episode = await run_graph(scene(third=third), "Write of fog.", answer=both)
    assert episode.is_complete
    assert parts(episode) == sorted(["warm", "open", "join", *(["plain"] if third else [])])


@pytest.mark.parametrize("third", [False, True])
async def test_with_one_answer_the_other_question_stays_open(third: bool) -> None:
    episode = await run_graph(scene(third=third), "Write of fog.", answer=tone_alone)
    assert open_questions(episode) == {"ending?": "ending"}
    assert episode.failure
    assert episode.failure.node == "ending"


async def test_a_question_of_a_subgraph_has_the_path_of_its_node() -> None:
    async def call(state: Plan) -> Any:
        return await scene(third=True).compile().ainvoke(state)

    for inner in (scene().compile(), call):
        episode = await run_graph(around(inner), "Write of fog.", answer=tone_alone)
        assert open_questions(episode) == {"ending?": "inner/ending"}
    episode = await run_graph(around(scene().compile()), "Write of fog.")
    assert open_questions(episode) == {"tone?": "inner/tone", "ending?": "inner/ending"}
    episode = await run_graph(around(scene().compile()), "Write of fog.", answer=both)
    assert parts(episode) == ["end", "join", "open", "warm"]


async def test_questions_come_in_rounds() -> None:
    def ask_twice(state: Plan) -> Plan:
        return {"parts": [interrupt("tone?"), interrupt("ending?")]}

    graph = scene()
    graph.add_node("again", ask_twice)
    graph.add_edge("join", "again")
    episode = await run_graph(graph, "Write of fog.", answer=both)
    assert parts(episode) == ["join", "open", "open", "warm", "warm"]
    seen: list[str] = []

    async def ending_once(question: str) -> str:
        seen.append(question)
        if seen.count("ending?") > 1:
            raise Declined
        return question

    episode = await run_graph(graph, "Write of fog.", answer=ending_once)
    assert open_questions(episode) == {"ending?": "again"}
    assert sorted(seen) == ["ending?", "ending?", "tone?", "tone?"]


async def test_a_loop_asks_each_time_and_its_steps_are_counted_over_all_answers() -> None:
    graph = StateGraph(Plan)
    graph.add_node("ask", asker("tone?"))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda s: "ask" if len(s["parts"]) < 4 else "__end__")
    episode = await run_graph(graph, "Write of fog.", answer=both)
    assert parts(episode) == ["warm"] * 4
    asked: list[str] = []

    async def count(question: str) -> str:
        asked.append(question)
        return "warm"

    episode = await run_graph(graph, "Write of fog.", answer=count, most_steps=3)
    assert episode.failure
    assert episode.failure.kind == "recursion"
    assert len(asked) == 3


async def test_an_answer_that_raises_leaves_its_question_open() -> None:
    async def fails(question: str) -> str:
        raise KeyError(question)

    episode = await run_graph(scene(), "Write of fog.", answer=fails)
    assert set(open_questions(episode)) == {"tone?", "ending?"}
    assert episode.failure
    assert episode.failure.reason.startswith("answer= raised KeyError: 'tone?'")


async def test_what_is_asked_is_kept_as_json() -> None:
    class Form:
        def __repr__(self) -> str:
            return "Form()"

    graph = StateGraph(Plan)
    graph.add_node("ask", lambda state: {"parts": [interrupt({"form": Form(), "n": 1})]})
    graph.add_edge(START, "ask")
    episode = await run_graph(graph, "Write of fog.")
    assert episode.failure
    assert episode.failure.questions[0].value == {"form": "Form()", "n": 1}


@pytest.mark.parametrize("saver", [None, InMemorySaver])
@pytest.mark.parametrize(
    ("graph", "stops", "waits"),
    [
        (chain("a", "b"), {"interrupt_before": ["b"]}, "b"),
        (chain("a", "b"), {"interrupt_before": "*"}, "a"),
        (chain("a", "b", "c"), {"interrupt_after": ["a"]}, "b"),
        (around(chain("a", "b").compile(interrupt_before=["b"])), {}, "inner/b"),
        (around(chain("a", "b").compile(interrupt_after=["a"])), {}, "inner/b"),
        (around(chain("a", "b").compile(interrupt_after=["b"])), {}, "inner"),
        (
            around(around(chain("a", "b").compile(interrupt_before=["b"])).compile()),
            {},
            "inner/inner/b",
        ),
    ],
)
async def test_a_breakpoint_ends_the_run_with_the_node_that_waits(
    graph: Graph, stops: Mapping[str, Any], waits: str, saver: Any
) -> None:
    compiled = graph.compile(checkpointer=saver and saver(), **stops)
    episode = await run_graph(compiled, "Write of fog.")
    assert open_questions(episode) == {}
    assert episode.failure
    assert episode.failure.node == waits
    assert f"stopped at a breakpoint, with {waits} still to run" in episode.failure.reason
    assert "interrupt_before" in episode.failure.reason


async def test_a_breakpoint_after_the_last_node_stops_nothing() -> None:
    graph = chain("a", "b").compile(interrupt_after=["b"])
    assert (await run_graph(graph, "Write of fog.")).is_complete


async def test_a_breakpoint_in_a_graph_that_a_node_makes_ends_the_run() -> None:
    async def call(state: Plan) -> Any:
        made = chain("a", "b").compile(interrupt_before=["b"])
        return await made.ainvoke({"request": "x"})

    episode = await run_graph(around(call), "Write of fog.")
    assert open_questions(episode) == {}
    assert episode.failure
    assert episode.failure.node == "inner"


async def test_a_breakpoint_is_not_passed_by_an_answer_to_another_node() -> None:
    graph = around(chain("a", "b").compile(interrupt_before=["b"]))
    graph.add_node("tone", asker("tone?"))
    graph.add_edge(START, "tone")
    episode = await run_graph(graph, "Write of fog.", answer=both)
    assert open_questions(episode) == {"tone?": "tone"}
    assert episode.failure
    assert "inner/b still to run" in episode.failure.reason


async def test_a_durable_run_goes_on_behind_its_breakpoint(tmp_path: Path) -> None:
    graph = chain("a", "b", "c").compile(interrupt_before=["b"], interrupt_after=["b"])
    ends = []
    for _ in range(3):
        with durable(graph, tmp_path) as kept:
            episode = await run_graph(kept, "Write of fog.", episode_id="1")
            ends.append(episode.failure and episode.failure.node)
    assert ends == ["b", "c", None]
    assert parts(episode) == ["a", "b", "c"]


@pytest.mark.parametrize("third", [False, True])
async def test_a_durable_run_is_answered_one_question_at_a_time(
    third: bool, tmp_path: Path
) -> None:
    async def go_on(answers: Mapping[str, Any]) -> tuple[Episode, tuple[Question, ...]]:
        with durable(scene(third=third), tmp_path) as graph:
            episode = await run_graph(graph, "Write.", episode_id="1", answer=answers)
        return episode, episode.failure.questions if episode.failure else ()

    _, asked = await go_on({})
    ids = {each.value: each.id for each in asked}
    _, asked = await go_on({ids["ending?"]: "open"})
    # the answer outlives its process
    assert [each.value for each in asked] == ["tone?"]
    assert asked[0].id == ids["tone?"]
    _, asked = await go_on({})
    assert [each.value for each in asked] == ["tone?"]
    episode, asked = await go_on({ids["tone?"]: "warm"})
    assert asked == ()
    assert parts(episode) == sorted(["warm", "open", "join", *(["plain"] if third else [])])


async def test_an_answer_outlives_a_failure_of_its_node(tmp_path: Path) -> None:
    broken = [True]

    def ask(state: Plan) -> Plan:
        tone = interrupt("tone?")
        if broken.pop() if broken else False:
            raise OSError("no disk")
        return {"parts": [tone]}

    graph = StateGraph(Plan)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    kinds = []
    for answer in (None, both, None):
        with durable(graph, tmp_path) as kept:
            episode = await run_graph(kept, "Write.", episode_id="1", answer=answer)
            kinds.append(episode.failure and episode.failure.kind)
    assert kinds == ["interrupt", "node", None]
    assert parts(episode) == ["warm"]


@pytest.mark.parametrize("steps", [1, 4])
async def test_n_steps_are_n_steps(steps: int) -> None:
    names = [f"n{number}" for number in range(steps)]
    assert (await run_graph(chain(*names), "Write.", most_steps=steps)).is_complete
    nested = around(chain(*names).compile())
    assert (await run_graph(nested, "Write.", most_steps=max(steps, 2))).is_complete
    ran: list[str] = []
    graph = chain(*names)
    graph.add_node("more", lambda state: ran.append("more"))
    graph.add_edge(names[-1], "more")
    for longer in (graph, around(graph.compile())):
        if longer is not graph and steps == 1:
            continue  # the graph around has two
        episode = await run_graph(longer, "Write.", most_steps=steps)
        assert episode.failure
        assert episode.failure.kind == "recursion"
        assert f"has not ended after {steps} supersteps" in episode.failure.reason
        assert ran == []


async def test_a_retry_does_not_make_a_step_of_its_own() -> None:
    tries: list[int] = []

    def shaky(state: Plan) -> Plan:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("again")
        return {"parts": ["done"]}

    graph = StateGraph(Plan)
    graph.add_node(
        "shaky",
        shaky,
        retry_policy=RetryPolicy(initial_interval=0.0, jitter=False, retry_on=OSError),
    )
    graph.add_conditional_edges(START, lambda state: [Send("shaky", {})] * 3, ["shaky"])
    assert (await run_graph(graph, "Write.", most_steps=1)).is_complete


async def test_calls_of_a_node_that_waits_are_kept() -> None:
    model = ScriptedChat(reply=lambda request: "mist")

    async def ask(state: Plan) -> Plan:
        await model.ainvoke("fog")
        return {"parts": [interrupt("title?")]}

    graph = scene()
    graph.add_node("asks", ask)
    graph.add_edge(START, "asks")
    episode = await run_graph(graph, "Write of fog.")
    assert len(open_questions(episode)) == 3
    assert len(episode.calls) == 1
