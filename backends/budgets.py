"""A run's budget of calls and tokens."""

from langchain_core.messages import AIMessage

from quillgraph.backends.errors import BudgetReached


class Budget:
    """Refuses the next call once the run has spent its calls or tokens.

    Calls are counted when they are asked for, so `max_calls` is never passed. Tokens are known
    when a reply is in, so `max_tokens` may be passed by the calls that are then in flight.

    Args:
        max_calls: Most calls of the run; None for no limit.
        max_tokens: Most tokens of the run, prompts and replies together; None for no limit.
    """

    def __init__(self, max_calls: int | None = None, max_tokens: int | None = None) -> None:
        self.max_calls, self.max_tokens = max_calls, max_tokens
        self.calls = self.tokens = 0

    def admit(self) -> None:
        """Count a call that is about to be made.

        Raises:
            BudgetReached: If the run may make no further call.
        """
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetReached(f"the budget of {self.max_calls} calls is spent; raise --max-calls")
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise BudgetReached(
                f"the budget of {self.max_tokens} tokens is spent ({self.tokens} used); "
                "raise --max-tokens-total"
            )
        self.calls += 1

    def count(self, reply: AIMessage) -> None:
        """Count the tokens of a reply."""
        self.tokens += reply.usage_metadata["total_tokens"] if reply.usage_metadata else 0
