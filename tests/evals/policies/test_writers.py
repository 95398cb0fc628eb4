"""Having policies write."""

from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import Budget, CallRecord, Recorder
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached, ConfigError, ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.evals.data.prompts import prompts_of
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.policies.policy import read_policies
from quillgraph.evals.policies.writers import Reading, Writer, writer_for
from quillgraph.graphs.episodes import episode_source, registry, run_graph
from quillgraph.rl.rollouts.run import graph_run
from quillgraph.rl.rollouts.sampling import Sampling
from quillgraph.rl.trajectories import trajectory
from quillgraph.rl.trajectories.rows import Trajectory

((PROMPT,), _) = prompts_of([RubricRequest(id="sea", request="Write of the sea.")], None)

OWN = """
from typing import TypedDict
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from dataclasses import dataclass

@dataclass
class Cast:
    poet: BaseChatModel
    rounds: int = 1

class Start(TypedDict):
    request: str
    style: str

class State(Start, total=False):
    verse: str

class End(TypedDict):
    verse: str

async def write(state, runtime):
    poet = runtime.context.poet
    said = [await poet.ainvoke(state["request"]) for _ in range(runtime.context.rounds)]
    return {"verse": f"{state.get('style')}: {said[-1].content}"}

def build():
    graph = StateGraph(State, context_schema=Cast, input_schema=Start, output_schema=End)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph

async def ask(state, runtime):
    raise RuntimeError("no ink")

def broken():
    graph = StateGraph(State, context_schema=Cast, input_schema=Start, output_schema=End)
    graph.add_node("write", ask)
    graph.add_edge(START, "write")
    return graph
"""


@pytest.fixture
def calls() -> list[CallRecord]:
    return []


def writer(
    spec: str,
    calls: list[CallRecord],
    reply: Any = lambda _: "The sea hums.",
    *,
    reading: Reading = "request",
    budget: Budget | None = None,
    text_tokens: int = 40,
    items_per_call: int = 8,
) -> Writer:
    (policy,) = read_policies([spec])
    return writer_for(
        policy,
        ScriptedChat(reply=reply, items_per_call=items_per_call),
        budget=budget or Budget(),
        recorder=Recorder(None, "run", calls.append),
        seed=5,
        measures={"text_tokens": text_tokens, "rounds": 2, "samples": 1},
        reading=reading,
    )


async def test_a_model_is_asked_the_bare_request_and_its_call_is_recorded_once(
    calls: list[CallRecord],
) -> None:
    text = await writer("scripted:f", calls).write(PROMPT, 1, None)
    assert (text.text, text.calls, text.failure) == ("The sea hums.", 1, None)
    # four bytes a token: 17 and 13 bytes
    assert (text.prompt_tokens, text.completion_tokens, text.tokens) == (5, 4, 9)
    (call,) = calls
    assert (call.run, call.role) == ("A/sea/1", "writer")
    assert call.messages == [{"role": "user", "content": "Write of the sea."}]


async def test_the_writers_prompt_is_that_of_the_command_write(calls: list[CallRecord]) -> None:
    await writer("scripted:f", calls, reading="writer").write(PROMPT, 0, None)
    assert "You are a writer." in calls[0].messages[0]["content"]
    assert "Write of the sea." in calls[0].messages[1]["content"]


async def test_the_writers_prompt_of_a_small_policy_is_the_bare_request(
    calls: list[CallRecord],
) -> None:
    small = writer("scripted:f", calls, reading="writer", items_per_call=1)
    await small.write(PROMPT, 0, None)
    assert calls[0].messages == [{"role": "user", "content": "Write of the sea."}]


async def test_texts_of_one_prompt_have_seeds_of_their_own(calls: list[CallRecord]) -> None:
    seeds = []

    def reply(request: ChatRequest) -> str:
        seeds.append(request.seed)
        return "The sea hums."

    one = writer("scripted:f", calls, reply)
    for number in (0, 1, 0):
        await one.write(PROMPT, number, None)
    assert seeds[0] == seeds[2] != seeds[1]


async def test_a_text_that_was_cut_says_so(calls: list[CallRecord]) -> None:
    text = await writer("scripted:f", calls, text_tokens=2).write(PROMPT, 0, None)
    assert (text.text, text.is_cut) == ("The sea", True)


async def test_a_model_that_breaks_leaves_a_reason_and_a_spent_budget_ends_the_run(
    calls: list[CallRecord],
) -> None:
    def broken(request: ChatRequest) -> str:
        raise ServerFailed("the server broke")

    text = await writer("scripted:f", calls, broken).write(PROMPT, 0, None)
    assert (text.text, text.failure) == ("", "ServerFailed: the server broke")
    budget = Budget(1)
    await writer("scripted:f", calls, budget=budget).write(PROMPT, 0, None)
    for spec in ("scripted:f", "self_refine?rounds=3@scripted:f"):
        poor = writer(spec, calls, budget=budget)
        with pytest.raises(BudgetReached):
            await poor.write(PROMPT, 1, None)


async def test_a_text_that_a_spent_budget_has_cut_short_is_none(calls: list[CallRecord]) -> None:
    # best-of-N takes what it has when the budget is spent: of two drafts one
    line = "The sea hums under the fog."
    poor = writer("best_of_n?n=2@scripted:f", calls, lambda _: line, budget=Budget(1))
    with pytest.raises(BudgetReached, match="the budget of 1 calls is spent"):
        await poor.write(PROMPT, 0, None)
    assert [call.error for call in calls] == [None]  # the one that was refused is no call


async def test_a_graph_of_ours_gives_the_text_that_stands_and_all_that_it_cost(
    calls: list[CallRecord],
) -> None:
    line = "The sea hums under the fog."
    one = writer("self_refine?rounds=1@scripted:f", calls, lambda _: line)
    text = await one.write(PROMPT, 0, None)
    assert (text.text, text.calls) == (line, 3)  # draft, feedback, revision
    assert text.tokens == sum(c.prompt_tokens + c.completion_tokens for c in calls)
    assert [call.run for call in calls] == ["A/sea/0"] * 3


async def test_a_graph_of_ones_own_gets_its_options_and_its_only_string_is_its_text(
    calls: list[CallRecord], tmp_path: Path
) -> None:
    (tmp_path / "own_verse.py").write_text(OWN, encoding="utf-8")
    spec = f"{tmp_path}/own_verse.py:build?style=plain&rounds=3@scripted:f"
    text = await writer(spec, calls).write(PROMPT, 0, None)
    assert (text.text, text.calls) == ("plain: The sea hums.", 3)


LETTER = """
from langgraph.graph import MessagesState

class Cast(TypedDict):
    writer: BaseChatModel

class Start(TypedDict):
    request: str

class State(Start, total=False):
    letter: str

async def write(state, runtime):
    reply = await runtime.context["writer"].ainvoke(state["request"])
    return {"letter": f"Dear reader, {reply.content} Yours, the sea."}

def build():
    graph = StateGraph(State, context_schema=Cast, input_schema=Start)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph
"""


async def test_training_and_evaluation_see_the_same_text_of_a_letter(
    calls: list[CallRecord], tmp_path: Path
) -> None:
    (tmp_path / "own_letter.py").write_text(OWN + LETTER, encoding="utf-8")
    place = f"{tmp_path}/own_letter.py:build"
    measured = await writer(f"{place}@scripted:f", calls).write(PROMPT, 0, None)
    roles = {"writer": ScriptedChat(reply=lambda _: "The sea hums.")}
    episode = await run_graph(registry.build(place), PROMPT.task, roles=roles, trainable=["writer"])
    learned = trajectory(episode)
    # what the model said is not yet the letter, so training must not take it for the text
    assert [call.reply for call in episode.calls] == ["The sea hums."]
    assert measured.text == learned.text == "Dear reader, The sea hums. Yours, the sea."


async def test_a_graph_that_fails_leaves_its_node_and_reason(
    calls: list[CallRecord], tmp_path: Path
) -> None:
    (tmp_path / "own_verse.py").write_text(OWN, encoding="utf-8")
    text = await writer(f"{tmp_path}/own_verse.py:broken@scripted:f", calls).write(PROMPT, 0, None)
    line = OWN[: OWN.index("no ink")].count("\n") + 1
    assert text.failure == f"in node write: RuntimeError: no ink (own_verse.py, line {line})"


def test_an_option_that_a_graph_does_not_take_is_refused(calls: list[CallRecord]) -> None:
    with pytest.raises(ConfigError, match="no option 'round': did you mean 'rounds'"):
        writer("self_refine?round=3@scripted:f", calls)


@pytest.mark.parametrize(
    "reply",
    [
        "<think>Of the sea.</think>\n\nThe sea hums.",
        "Sure! Here is the text:\n\nThe sea hums.",
        "[THINK]Of the sea.[/THINK]The sea hums.",
    ],
)
async def test_what_a_policy_thinks_is_not_its_text(calls: list[CallRecord], reply: str) -> None:
    text = await writer("scripted:f", calls, lambda _: reply).write(PROMPT, 0, None)
    assert (text.text, text.failure) == ("The sea hums.", None)
    assert text.aside.thinking or text.aside.preface


async def test_a_policy_whose_thinking_was_cut_off_has_no_text_and_is_counted(
    calls: list[CallRecord],
) -> None:
    text = await writer("scripted:f", calls, lambda _: "<think>Of").write(PROMPT, 0, None)
    assert (text.text, text.calls) == ("", 1)
    assert "the thinking was cut off" in str(text.failure)


OWN_STATE = """
from typing import TypedDict
from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from dataclasses import dataclass

@dataclass
class Cast:
    poet: BaseChatModel

class State(TypedDict, total=False):
    request: str
    tone: str
    letter: str
    title: str

async def write(state, runtime):
    return {"letter": (await runtime.context.poet.ainvoke(state["request"])).content}

async def write_two(state, runtime):
    return {**await write(state, runtime), "title": "The Sea"}

def of(node):
    graph = StateGraph(State, context_schema=Cast)
    graph.add_node("write", node)
    graph.add_edge(START, "write")
    return graph.add_edge("write", END)

def build():
    return of(write)

def two():
    return of(write_two)
"""


@pytest.mark.parametrize("reply", ["The sea hums.", "<think>Of it.</think>The sea hums."])
async def test_a_letter_is_the_same_text_for_an_evaluation_and_for_a_training(
    calls: list[CallRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN_STATE, encoding="utf-8")
    # the tone is given back with the whole state, and is no text
    written = writer("own.py:build?tone=plain@scripted:f", calls, lambda _: reply)
    text = await written.write(PROMPT, 0, None)
    rollout = await rolled_out("own.py:build", reply, tone="plain")
    assert (text.text, rollout.text) == ("The sea hums.", "The sea hums.")
    assert (text.failure, rollout.excluded) == (None, None)
    assert text.aside == rollout.aside


async def test_what_only_the_graph_knows_is_no_text_for_either(
    calls: list[CallRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN_STATE, encoding="utf-8")
    text = await writer("own.py:two@scripted:f", calls).write(PROMPT, 0, None)
    rollout = await rolled_out("own.py:two", "The sea hums.")
    assert text.failure == rollout.excluded
    assert "the graph gave request, letter, title" in str(text.failure)


async def rolled_out(graph: str, reply: str, **rest: str) -> Trajectory:
    """The rollout of a graph, as a training makes it."""
    built = registry.build(graph)

    def source(policy: Any, frozen: Any) -> Any:
        return episode_source(built, roles={"poet": policy}, trainable=["poet"])

    model = ScriptedChat(reply=lambda _: reply)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=40, seed=1)
    return await graph_run(source, start=rest)("Write of the sea.", model, sampling)
