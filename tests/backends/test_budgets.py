"""The budget of a run."""

import asyncio

import pytest
from langchain_core.runnables import RunnableConfig

from quillgraph.backends.budgets import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached
from quillgraph.backends.scripted import ScriptedChat


def under(budget: Budget) -> RunnableConfig:
    return {"callbacks": [budget]}


async def test_the_call_after_the_last_one_is_refused() -> None:
    budget, model = Budget(max_calls=2), ScriptedChat(reply=lambda _: "so")
    await model.ainvoke("one", config=under(budget))
    await model.ainvoke("two", config=under(budget))
    with pytest.raises(BudgetReached, match="budget of 2 calls"):
        await model.ainvoke("three", config=under(budget))
    assert budget.calls == 2


async def test_calls_at_the_same_time_never_pass_the_budget_of_calls() -> None:
    asked: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        asked.append(request)
        return "so"

    budget, model = Budget(max_calls=3), ScriptedChat(reply=reply)
    calls = (model.ainvoke(str(n), config=under(budget)) for n in range(8))
    results = await asyncio.gather(*calls, return_exceptions=True)
    # 8 asked for, 3 allowed: 5 refused before the model heard of them
    assert sum(isinstance(result, BudgetReached) for result in results) == 5
    assert len(asked) == 3


async def test_tokens_of_prompt_and_reply_both_count() -> None:
    budget, model = Budget(max_tokens=6), ScriptedChat(reply=lambda _: "so")
    # a scripted token is a byte: 3 of "one" and 2 of "so" make 5, which is below 6
    await model.ainvoke("one", config=under(budget))
    assert budget.tokens == 5
    # 5 < 6, so a second call is let through and brings 5 + 5 = 10
    await model.ainvoke("two", config=under(budget))
    assert budget.tokens == 10
    with pytest.raises(BudgetReached, match=r"6 tokens is spent \(10 used\)"):
        await model.ainvoke("six", config=under(budget))


def test_synchronous_calls_are_counted_too() -> None:
    budget, model = Budget(max_calls=1), ScriptedChat(reply=lambda _: "so")
    model.invoke("one", config=under(budget))
    with pytest.raises(BudgetReached):
        model.invoke("two", config=under(budget))


async def test_without_limits_nothing_is_refused_and_all_is_counted() -> None:
    budget, model = Budget(), ScriptedChat(reply=lambda _: "so")
    await model.abatch(["one", "two"], config=under(budget))
    assert (budget.calls, budget.tokens) == (2, 10)


async def test_a_budget_of_nothing_allows_nothing() -> None:
    with pytest.raises(BudgetReached):
        await ScriptedChat(reply=lambda _: "so").ainvoke("one", config=under(Budget(max_calls=0)))
