"""A verb of the front door waits for its coroutine, with a running loop or without one."""

import asyncio
import threading
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph

import quillgraph
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.episodes import text_of


class Page(TypedDict, total=False):
    request: str
    text: str


def graph_of(node: Any) -> Any:
    graph = StateGraph(Page)
    graph.add_node("write", node)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph


def upper(state: Page) -> Page:
    return {"text": state["request"].upper()}


def test_a_verb_returns_what_its_coroutine_returns() -> None:
    episode = quillgraph.run_graph(graph_of(upper), "a haiku")
    assert (text_of(episode), episode.failure) == ("A HAIKU", None)


async def test_a_verb_works_inside_a_running_loop() -> None:
    assert asyncio.get_running_loop().is_running()
    assert text_of(quillgraph.run_graph(graph_of(upper), "a haiku")) == "A HAIKU"


async def test_the_verb_with_an_a_is_the_coroutine_function_of_the_package() -> None:
    from quillgraph.graphs import run_graph

    assert quillgraph.arun_graph is run_graph
    assert text_of(await quillgraph.arun_graph(graph_of(upper), "a haiku")) == "A HAIKU"


def test_a_verb_raises_what_its_coroutine_raises() -> None:
    with pytest.raises(quillgraph.QuillError, match="got an empty text"):
        quillgraph.run_graph(graph_of(upper), "  ")


def test_many_tasks_are_read_with_for_and_one_may_stop_early() -> None:
    tasks = [quillgraph.writing_task(words) for words in ("one", "two", "three")]
    texts = {text_of(episode) for episode in quillgraph.run_graphs(graph_of(upper), tasks)}
    assert texts == {"ONE", "TWO", "THREE"}
    first = next(iter(quillgraph.run_graphs(graph_of(upper), tasks, at_once=1)))
    assert text_of(first) == "ONE"


def test_a_node_that_is_a_plain_function_may_use_a_verb() -> None:
    def nested(state: Page) -> Page:
        return {"text": text_of(quillgraph.run_graph(graph_of(upper), state["request"])) or ""}

    assert text_of(quillgraph.run_graph(graph_of(nested), "a haiku")) == "A HAIKU"


def test_a_node_that_would_wait_for_its_own_loop_is_told_to_await() -> None:
    async def nested(state: Page) -> Page:
        return {"text": text_of(quillgraph.run_graph(graph_of(upper), state["request"])) or ""}

    failure = quillgraph.run_graph(graph_of(nested), "a haiku").failure
    assert failure is not None
    assert "`await arun_graph()` there" in failure.reason


def test_callers_on_many_threads_share_one_loop() -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    async def note(state: Page) -> Page:
        loops.add(asyncio.get_running_loop())
        return {"text": "."}

    threads = [
        threading.Thread(target=quillgraph.run_graph, args=(graph_of(note), "a haiku"))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 1


def test_an_error_of_a_verb_is_of_the_packages_own_tree() -> None:
    assert issubclass(quillgraph.ConfigError, quillgraph.QuillError)
    assert quillgraph.ConfigError is ConfigError


SCRIPTS = Path(__file__).parents[2] / "examples" / "scripts"
FERRY = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")


async def test_criteria_text_and_judgement_are_had_in_a_few_plain_calls() -> None:
    # inside a running loop, as in a notebook; the reward is that of tests/graphs/prebuilt
    model = quillgraph.connect(f"scripted:{SCRIPTS / 'ferry.yaml'}")
    criteria = quillgraph.CriteriaSet.model_validate_json(
        (SCRIPTS / "ferry.criteria.json").read_text("utf-8")
    )
    episode = quillgraph.write(FERRY, model, criteria=criteria)
    assert episode.text.endswith("The pilot waited for a while, and then he went on.")
    assessed = quillgraph.judge(episode.text, criteria, model, request=FERRY)
    # .85 * (5 + 5 + .9 * 7) / (9 * 2.9) + .10 + .05
    assert assessed.reward.value == pytest.approx(0.85 * 16.3 / 26.1 + 0.15)
    assert assessed.reward == episode.standing.reward


async def test_the_plain_call_and_the_coroutine_find_the_same_criteria() -> None:
    request = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")
    model = quillgraph.connect(f"scripted:{SCRIPTS / 'lighthouse.yaml'}")
    near = quillgraph.connect_embeddings("lexical")
    plain = quillgraph.find_criteria(request, model, embeddings=near)
    awaited = await quillgraph.afind_criteria(request, model, embeddings=near)
    assert [each.name for each in plain.criteria][:2] == [
        "In the second person",
        "At most 300 words",
    ]
    assert plain.sha256 == awaited.sha256


def test_training_names_what_is_missing_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(quillgraph.ConfigError, match="expected a folder for the run, got none"):
        quillgraph.train(_config(tmp_path))
    with pytest.raises(quillgraph.QuillError, match="cannot read"):
        quillgraph.train(tmp_path / "absent.yaml")


def _config(folder: Path) -> Path:
    file = folder / "run.yaml"
    (folder / "prompts.jsonl").write_text('{"request": "A haiku.", "split": "train"}\n')
    file.write_text(
        "model: {name: smollm2-135m}\ndata: {prompts: prompts.jsonl}\n"
        "criteria: {study: hard}\nrl: {}\n"
    )
    return file
