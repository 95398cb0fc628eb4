"""Each call of a model is heard once, wherever a node makes it, and held to the budget before."""

import asyncio
import contextvars
import gc
import itertools
import queue
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    LLMResult,
)
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field

from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget
from quillgraph.backends.langchain import ForeignChat
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.durability import durable
from quillgraph.graphs.episodes.runner import run_graph, run_graphs

WORDS = ("fog", "rope", "bell", "quay")


class CountingChat(BaseChatModel):
    """A chat model of another package that counts what reaches it."""

    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(str(messages[-1].content))
        return ChatResult(generations=[ChatGeneration(message=AIMessage("mist"))])


class StreamingChat(CountingChat):
    """One that streams."""

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.asked.append(str(messages[-1].content))
        for part in ("mi", "st"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=part))


class CompletingModel(BaseLLM):
    """A model that completes a text and knows no messages."""

    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "completing"

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        self.asked += prompts
        return LLMResult(generations=[[Generation(text="mist")] for _ in prompts])


def scripted() -> tuple[Any, list[str]]:
    asked: list[str] = []

    def reply(request: Any) -> str:
        asked.append(request.messages[-1].content)
        return '{"line": "mist"}'

    return ScriptedChat(reply=reply), asked


def foreign() -> tuple[Any, list[str]]:
    model = CountingChat()
    return model, model.asked


def wrapped() -> tuple[Any, list[str]]:
    model = CountingChat()
    return ForeignChat(chat=model), model.asked


def streaming() -> tuple[Any, list[str]]:
    model = StreamingChat()
    return model, model.asked


MODELS = [scripted, foreign, wrapped, streaming]


class Verse(TypedDict, total=False):
    request: str
    text: str


Way = Callable[[Any], Any]


def pool_map(model: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(model.invoke, WORDS))


def pool_submit(model: Any) -> None:
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(model.invoke, word) for word in WORDS]:
            each.result()


def raised_in(errors: list[BaseException], function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001  # to raise it where the node sees it
        errors.append(error)


def plain_threads(model: Any) -> None:
    errors: list[BaseException] = []
    threads = [
        threading.Thread(target=raised_in, args=(errors, model.invoke, word)) for word in WORDS
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]


def own_kind_of_thread(model: Any) -> None:
    class Asker(threading.Thread):
        def __init__(self, word: str) -> None:
            super().__init__()
            self.word, self.errors = word, list[BaseException]()

        def run(self) -> None:
            raised_in(self.errors, model.invoke, self.word)

    for word in WORDS:
        asker = Asker(word)
        asker.start()
        asker.join()
        if asker.errors:
            raise asker.errors[0]


async def to_thread(model: Any) -> None:
    await asyncio.gather(*(asyncio.to_thread(model.invoke, word) for word in WORDS))


async def executor(model: Any) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, model.invoke, word) for word in WORDS))


def loop_in_a_thread(model: Any) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(model.ainvoke(word) for word in WORDS))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, all_of_them()).result()


def threads_in_threads(model: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pool_map, model).result()


def thread_pool_of_multiprocessing(model: Any) -> None:
    with ThreadPool(2) as pool:
        pool.map(model.invoke, WORDS)


def context_of_its_own(model: Any) -> None:
    for word in WORDS:
        contextvars.Context().run(model.invoke, word)


async def context_of_its_own_on_the_loop(model: Any) -> None:
    for word in WORDS:
        contextvars.Context().run(model.invoke, word)


async def task_in_a_context_of_its_own(model: Any) -> None:
    for word in WORDS:
        ask: Coroutine[Any, Any, Any] = model.ainvoke(word)
        await asyncio.create_task(ask, context=contextvars.Context())


async def handlers_of_its_own(model: Any) -> None:
    for word in WORDS:
        await model.ainvoke(word, config={"callbacks": [BaseCallbackHandler()]})


def config_of_its_own(model: Any) -> None:
    for word in WORDS:
        model.invoke(word, config={"callbacks": [], "metadata": {"mine": 1}, "tags": ["mine"]})


def handlers_of_its_own_in_threads(model: Any) -> None:
    config: Any = {"callbacks": [BaseCallbackHandler()]}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda word: model.invoke(word, config=config), WORDS))


def batch(model: Any) -> None:
    model.batch(list(WORDS))


async def abatch(model: Any) -> None:
    await model.abatch(list(WORDS), config={"callbacks": []})


def chain_in_threads(model: Any) -> None:
    chain = RunnableLambda(str) | model
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(chain.invoke, WORDS))


def streams_in_threads(model: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda word: list(model.stream(word)), WORDS))


async def astreams(model: Any) -> None:
    for word in WORDS:
        async for _ in model.astream(word, config={"callbacks": []}):
            pass


def graphs_in_threads(model: Any) -> None:
    inner = StateGraph(Verse)
    inner.add_node("say", lambda state: {"text": model.invoke(state["request"]).text})
    inner.add_edge(START, "say")
    made = inner.compile()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda word: made.invoke({"request": word}), WORDS))


def ask_for(word: str, model: Any) -> None:
    model.invoke(word)


async def run_within_a_run(model: Any) -> None:
    for word in WORDS:
        episode = await run_graph(node(partial(ask_for, word), model), word)
        if episode.failure:
            raise RuntimeError(episode.failure.reason)


WAYS: list[Way] = [
    pool_map, pool_submit, plain_threads, own_kind_of_thread, to_thread, executor,
    loop_in_a_thread, threads_in_threads, thread_pool_of_multiprocessing, context_of_its_own,
    context_of_its_own_on_the_loop, task_in_a_context_of_its_own, handlers_of_its_own,
    config_of_its_own, handlers_of_its_own_in_threads, batch, abatch, chain_in_threads,
    streams_in_threads, astreams, graphs_in_threads, run_within_a_run,
]  # fmt: skip


def node(way: Way, model: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Verse)
    if asyncio.iscoroutinefunction(way):

        async def write(state: Verse) -> Verse:
            await way(model)
            return {"text": "done"}

        graph.add_node("write", write)
    else:

        def write_plainly(state: Verse) -> Verse:
            way(model)
            return {"text": "done"}

        graph.add_node("write", write_plainly)
    graph.add_edge(START, "write")
    return graph


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("way", WAYS)
async def test_each_call_is_heard_once_and_placed(way: Way, kind: Any) -> None:
    model, asked = kind()
    episode = await run_graph(node(way, model), "Write of fog.")
    assert episode.failure is None
    assert sorted(asked) == sorted(WORDS)
    assert sorted(str(each.messages[-1]["content"]) for each in episode.calls) == sorted(WORDS)
    assert all(each.reply and each.error is None for each in episode.calls)
    if way is not run_within_a_run:  # the graph within is a graph of its own
        assert {each.graph.split("/")[0] for each in episode.calls} == {"write"}


# where one handler refuses a call, LangChain does not await those after it
@pytest.mark.filterwarnings("ignore:coroutine 'ahandle_event' was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("way", WAYS)
async def test_no_call_is_sent_that_the_budget_does_not_allow(way: Way, kind: Any) -> None:
    model, asked = kind()
    episode = await run_graph(node(way, model), "Write of fog.", budget=Budget(max_calls=2))
    assert episode.failure is not None
    assert len(asked) <= 2  # the others are called off with the node
    assert len(episode.calls) == 2
    gc.collect()  # the warnings of this test come in this test


@pytest.mark.parametrize("kind", [scripted, foreign, wrapped])
@pytest.mark.parametrize("way", [each for each in WAYS if each is not run_within_a_run])
async def test_a_durable_run_holds_its_budget_too(way: Way, kind: Any, tmp_path: Path) -> None:
    model, asked = kind()
    budget = Budget(max_calls=2)
    with durable(node(way, model), tmp_path, budget) as graph:
        episode = await run_graph(graph, "Write of fog.", episode_id="1")
        assert episode.failure is not None
        assert budget.calls == 2 >= len(asked)
    answered = [each for each in episode.calls if each.reply]
    assert len(answered) <= 2
    with durable(node(way, model), tmp_path, Budget()) as graph:
        episode = await run_graph(graph, "Write of fog.", episode_id="1")
    assert episode.failure is None
    # what has been answered is not asked again
    assert all(asked.count(str(each.messages[-1]["content"])) == 1 for each in answered)
    heard = [str(each.messages[-1]["content"]) for each in episode.calls if each.reply]
    assert sorted(heard) == sorted(WORDS)


async def test_calls_of_sixteen_runs_are_each_of_their_own_run() -> None:
    model, asked = foreign()
    shared = ThreadPoolExecutor(3)

    def write(state: Verse) -> Verse:
        words = [f"{state['request']} {word}" for word in WORDS]
        list(shared.map(model.invoke, words))
        for word in words:
            contextvars.Context().run(model.invoke, word)
        return {"text": "done"}

    graph = StateGraph(Verse)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    tasks = [writing_task(f"Poem {number}.") for number in range(40)]
    episodes = [each async for each in run_graphs(graph, tasks, at_once=16)]
    shared.shutdown()
    for each in episodes:
        assert each.failure is None
        heard = Counter(str(call.messages[-1]["content"]) for call in each.calls)
        assert heard == {f"{each.task.request} {word}": 2 for word in WORDS}
    assert len(asked) == 40 * 8


@pytest.mark.filterwarnings("ignore:coroutine 'ahandle_event' was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", [streams_in_threads, astreams, pool_map])
@pytest.mark.parametrize("cache", [None, False])
async def test_what_passes_the_journal_by_is_held_to_its_budget(
    way: Way, cache: bool | None, tmp_path: Path
) -> None:
    model = StreamingChat(cache=cache)
    budget = Budget(max_calls=2)
    with durable(node(way, model), tmp_path, budget) as graph:
        episode = await run_graph(graph, "Write of fog.", episode_id="1")
    assert episode.failure is not None
    assert budget.calls == 2 >= len(model.asked)
    gc.collect()


async def test_a_model_that_completes_texts_is_heard_and_held_too() -> None:
    model = CompletingModel()
    episode = await run_graph(node(pool_map, model), "Write of fog.")
    assert Counter(str(call.messages[0]["content"]) for call in episode.calls) == Counter(WORDS)
    model = CompletingModel()
    episode = await run_graph(node(pool_map, model), "Write.", budget=Budget(max_calls=1))
    assert episode.failure is not None
    assert len(model.asked) == 1


async def test_structured_output_and_tools_in_threads_are_heard() -> None:
    class Line(BaseModel):
        line: str

    model, asked = scripted()
    form = model.with_structured_output(Line)

    def write(state: Verse) -> Verse:
        with ThreadPoolExecutor(4) as pool:
            return {"text": " ".join(each.line for each in pool.map(form.invoke, WORDS))}

    graph = StateGraph(Verse)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    episode = await run_graph(graph, "Write of fog.")
    assert episode.output == {"request": "Write of fog.", "text": "mist mist mist mist"}
    assert len(episode.calls) == len(asked) == 4


class Desk:
    """A worker that was there before any run, and takes its work from a queue."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.work: queue.Queue[Any] = queue.Queue()
        self.thread = threading.Thread(target=self._serve, name="desk", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while (order := self.work.get()) is not None:
            word, done = order
            self.model.invoke(word)
            done.set()

    def ask(self, word: str) -> None:
        done = threading.Event()
        self.work.put((word, done))
        done.wait()

    def close(self) -> None:
        self.work.put(None)
        self.thread.join()


async def test_the_call_of_a_worker_is_of_the_only_run() -> None:
    model, asked = foreign()
    desk = Desk(model)
    episode = await run_graph(node(lambda model: desk.ask("fog"), model), "Write of fog.")
    desk.close()
    assert episode.failure is None
    assert len(episode.calls) == len(asked) == 1


async def test_the_call_of_a_worker_makes_the_runs_that_it_may_be_of_incomplete() -> None:
    model, asked = foreign()
    desk = Desk(model)
    both = threading.Barrier(2)
    numbers = itertools.count()

    def write(state: Verse) -> Verse:
        both.wait(5)
        if next(numbers) == 0:
            desk.ask("fog")
        both.wait(5)
        return {"text": "done"}

    graph = StateGraph(Verse)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    budget = Budget(max_calls=5)
    tasks = [writing_task("One."), writing_task("Two.")]
    episodes = [each async for each in run_graphs(graph, tasks, budget=budget)]
    desk.close()
    assert len(asked) == budget.calls == 1
    for each in episodes:
        assert not each.is_complete
        assert each.failure
        assert each.failure.kind == "unheard"
        assert "in thread 'desk', which was started before" in each.failure.reason


async def test_a_call_beside_the_runs_is_of_none() -> None:
    model, asked = foreign()
    begun, over = asyncio.Event(), asyncio.Event()

    async def wait(model: Any) -> None:
        begun.set()
        await over.wait()

    run = asyncio.ensure_future(run_graph(node(wait, model), "Write of fog."))
    await begun.wait()
    await model.ainvoke("beside")
    await asyncio.to_thread(model.invoke, "beside")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(model.invoke, "beside").result()
    thread = threading.Thread(target=model.invoke, args=("beside",))
    thread.start()
    thread.join()
    over.set()
    episode = await run
    assert len(asked) == 4
    assert episode.failure is None
    assert episode.calls == ()


async def test_a_call_after_its_run_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    model, asked = foreign()
    over = threading.Event()
    threads = []

    def leave(model: Any) -> None:
        def late() -> None:
            over.wait()
            model.invoke("late")

        threads.append(threading.Thread(target=late))
        threads[0].start()

    episode = await run_graph(node(leave, model), "Write of fog.", episode_id="verse")
    over.set()
    threads[0].join()
    assert episode.calls == ()
    assert asked == ["late"]
    assert "a call was made after its run verse had ended" in caplog.text


def test_threads_carry_nothing_when_no_run_is_under_way() -> None:
    model, _ = foreign()
    asyncio.run(run_graph(node(pool_map, model), "Write of fog."))
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")
    word.set("fog")
    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
        assert pool.submit(word.get).result() == other.apply(word.get) == "none"
