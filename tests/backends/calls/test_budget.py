"""The budget of a run, and of its nodes."""

import asyncio
import operator
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langgraph.graph import START, StateGraph

from quillgraph.agents.role import Role, say
from quillgraph.backends import ChatRequest, Completion, Recorder, ScriptedChat, read_records
from quillgraph.backends.calls.budget import Account, Allowance, Budget
from quillgraph.backends.errors import BudgetReached, ConfigError


def reply_of(tokens: int) -> AIMessage:
    """A reply that took `tokens` in all, one of them in the prompt."""
    return AIMessage(
        content="so",
        usage_metadata={"input_tokens": 1, "output_tokens": tokens - 1, "total_tokens": tokens},
    )


def test_the_call_after_the_last_one_is_refused_and_not_counted() -> None:
    budget = Budget(max_calls=2)
    budget.admit()
    budget.admit()
    with pytest.raises(BudgetReached, match=r"budget of 2 calls is spent; raise --max-calls"):
        budget.admit()
    assert budget.calls == 2


def test_a_budget_of_nothing_allows_nothing() -> None:
    with pytest.raises(BudgetReached):
        Budget(max_calls=0).admit()
    with pytest.raises(BudgetReached):
        Budget(max_tokens=0).admit()


def test_tokens_are_counted_when_the_reply_is_in_and_refuse_the_next_call() -> None:
    budget = Budget(max_tokens=6)
    budget.admit()
    budget.count(reply_of(5))
    budget.admit()  # 5 < 6: one more may go out, and bring 5 + 5 = 10
    budget.count(reply_of(5))
    assert budget.tokens == 10
    with pytest.raises(BudgetReached, match=r"6 tokens is spent \(10 used\).*--max-tokens-total"):
        budget.admit()
    assert budget.calls == 2


def test_exactly_the_budget_of_tokens_is_all_of_it() -> None:
    budget = Budget(max_tokens=6)
    budget.count(reply_of(6))
    with pytest.raises(BudgetReached):
        budget.admit()


def test_without_limits_nothing_is_refused_and_all_is_counted() -> None:
    budget = Budget()
    for tokens in (3, 4):
        budget.admit()
        budget.count(reply_of(tokens))
    assert (budget.calls, budget.tokens) == (2, 7)


def test_a_reply_without_usage_adds_no_tokens() -> None:
    budget = Budget(max_tokens=1)
    budget.count(AIMessage(content="so"))
    assert budget.tokens == 0
    budget.admit()


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(0, 6), st.integers(0, 120))
def test_calls_never_pass_the_limit_and_tokens_only_by_the_last_reply(
    replies: list[int], max_calls: int, max_tokens: int
) -> None:
    budget, last = Budget(max_calls, max_tokens), 0
    for tokens in replies:
        try:
            budget.admit()
        except BudgetReached:
            assert budget.calls == max_calls or budget.tokens >= max_tokens
            break
        budget.count(reply_of(tokens))
        last = tokens
    assert budget.calls <= max_calls
    assert budget.tokens - last < max_tokens or budget.calls == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20calls", Allowance(calls=20)),
        ("5000tokens,1.5s", Allowance(tokens=5000, seconds=1.5)),
        (" 30s , 1calls,2tokens ", Allowance(1, 2, 30.0)),
    ],
)
def test_amounts_are_read(text: str, expected: Allowance) -> None:
    assert Allowance.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "20", "calls", "1.5calls", "-1calls", "0s", "0calls", "3s,4s", "2 calls", "9x", "1s,"],
)
def test_what_is_no_amount_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected amounts like 20calls,5000tokens,30s.*got"):
        Allowance.parse(text)


def test_a_node_is_held_to_its_own_budget_with_all_that_is_within_it() -> None:
    budget = Budget(max_calls=9, nodes={"stage": Allowance(calls=2), "inner": Allowance(tokens=5)})
    budget.admit(["stage", "inner"])
    budget.count(reply_of(5), ["stage", "inner"])
    with pytest.raises(
        BudgetReached, match=r"node 'inner' of 5 tokens is spent \(5 used\).*node-b"
    ):
        budget.admit(["stage", "inner"])
    budget.admit(["stage", "other"])
    with pytest.raises(BudgetReached, match=r"budget of node 'stage' of 2 calls is spent"):
        budget.admit(["stage"])
    budget.admit(["elsewhere"])
    assert budget.calls == 3


def test_a_node_within_itself_counts_once() -> None:
    budget = Budget(nodes={"loop": Allowance(calls=2)})
    budget.admit(["loop", "loop"])
    budget.admit(["loop", "loop"])
    with pytest.raises(BudgetReached):
        budget.admit(["loop"])


class _Asked(TypedDict, total=False):
    replies: Annotated[list[str], operator.add]


def graph_of(model: BaseChatModel, *nodes: str) -> Any:
    """A graph of anyone's: each node asks the model itself, one after another."""

    async def ask(state: _Asked) -> _Asked:
        return {"replies": [str((await model.ainvoke("so?")).content)]}

    graph: Any = StateGraph(_Asked)
    for node in nodes:
        graph.add_node(node, ask)
    for before, after in pairwise([START, *nodes]):
        graph.add_edge(before, after)
    return graph.compile()


MODELS = [
    pytest.param(lambda: ScriptedChat(reply=lambda _: "so"), id="ours"),
    pytest.param(lambda: FakeListChatModel(responses=["so"]), id="foreign"),
]


@pytest.mark.parametrize("model", MODELS)
async def test_the_calls_of_any_graph_are_held_and_those_refused_are_not_recorded(
    model: Callable[[], BaseChatModel], tmp_path: Path
) -> None:
    budget = Budget(max_calls=2)
    with Recorder(tmp_path / "calls.jsonl", run="r", budget=budget) as recorder:
        graph = graph_of(model(), "a", "b", "c")
        with pytest.raises(BudgetReached, match="2 calls"):
            await graph.ainvoke({}, {"callbacks": [recorder]})
    records = read_records(tmp_path / "calls.jsonl")
    assert [record.node for record in records] == ["a", "b"]
    assert (budget.calls, recorder.failed) == (2, 0)


@pytest.mark.parametrize("model", MODELS)
async def test_a_node_of_any_graph_is_held(model: Callable[[], BaseChatModel]) -> None:
    budget = Budget(nodes={"b": Allowance(calls=1)})
    graph = graph_of(model(), "a", "b", "c")
    assert (await graph.ainvoke({}, {"callbacks": [budget]}))["replies"] == ["so"] * 3
    with pytest.raises(BudgetReached, match="node 'b' of 1 calls"):
        await graph.ainvoke({}, {"callbacks": [budget]})
    assert budget.calls == 4  # three, and that of node a once more


async def test_tokens_of_a_graphs_calls_are_counted() -> None:
    budget = Budget()
    chat = ScriptedChat(reply=lambda _: "12345678")  # two tokens of four bytes
    await graph_of(chat, "a", "b").ainvoke({}, {"callbacks": [budget]})
    assert budget.tokens == 2 * (1 + 2)  # "so?" is one


async def test_a_call_of_a_role_is_counted_once_though_the_graph_hears_its_budget_too() -> None:
    role = Role("r", ScriptedChat(reply=lambda _: "so"), budget=Budget(max_calls=2))

    async def ask(state: _Asked) -> _Asked:
        return {"replies": [str((await say(role, [HumanMessage("so?")], item="x")).content)]}

    graph: Any = StateGraph(_Asked).add_node("ask", ask).add_edge(START, "ask").compile()
    await graph.ainvoke({}, {"callbacks": [role.budget]})
    await graph.ainvoke({})
    assert role.budget.calls == 2
    assert role.budget.tokens == 2 * (1 + 1)


class Endless(ScriptedChat):
    """Never answers, and counts the calls that were taken away from it."""

    stopped: int = 0

    async def _complete(self, request: ChatRequest) -> Completion:
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1
        raise AssertionError("unreachable")


async def test_time_stops_the_calls_in_flight_and_those_that_wait_for_a_slot() -> None:
    chat = Endless(reply=lambda _: "", max_concurrency=2)
    budget = Budget(max_seconds=0.05)
    calls = [chat.ainvoke("so?", {"callbacks": [budget]}) for _ in range(5)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {(type(end), str(end)) for end in ends} == {
        (BudgetReached, "the 0.05 s of the run are over; raise --timeout")
    }
    assert chat.stopped == 2
    assert chat.limiter.in_flight == 0
    with pytest.raises(BudgetReached, match="are over"):
        await chat.ainvoke("so?", {"callbacks": [budget]})
    assert budget.calls == 5


async def test_the_time_of_a_node_stops_its_calls_alone() -> None:
    chat = Endless(reply=lambda _: "")
    budget = Budget(max_seconds=60, nodes={"b": Allowance(seconds=0.05)})
    with pytest.raises(
        BudgetReached, match=r"the 0.05 s of node 'b' are over; raise --node-budget"
    ):
        await graph_of(chat, "b").ainvoke({}, {"callbacks": [budget]})
    budget.admit(["a"])


async def test_a_role_on_a_foreign_model_is_stopped_in_time_too() -> None:
    class Stuck(FakeListChatModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    role = Role("r", Stuck(responses=["so"]), budget=Budget(max_seconds=0.05))
    with pytest.raises(BudgetReached, match=r"0.05 s"):
        await say(role, [HumanMessage("so?")], item="x")


async def test_the_models_own_timeout_is_not_taken_for_the_budgets() -> None:
    class Late(ScriptedChat):
        async def _complete(self, request: ChatRequest) -> Completion:
            raise TimeoutError("the model's own")

    with pytest.raises(TimeoutError, match="the model's own"):
        await Late(reply=lambda _: "").ainvoke("so?", {"callbacks": [Budget(max_seconds=60)]})


def test_a_clock_runs_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("quillgraph.backends.calls.budget.time.monotonic", lambda: now)
    account = Account(Allowance(seconds=5), "n")
    for at, change in [(101, account.hold), (102, account.hold), (104, account.release)]:
        now = float(at)
        change()
    now = 105.0
    assert account.seconds == 4  # from 101 on
    account.release()
    now = 200.0
    assert (account.seconds, account.spent()) == (4, None)
    account.hold()
    now = 201.0
    assert account.seconds == 5
    assert "the 5 s of node 'n' are over" in str(account.spent())
