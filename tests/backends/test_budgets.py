"""The budget of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from quillgraph.backends.budgets import Budget
from quillgraph.backends.errors import BudgetReached


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
