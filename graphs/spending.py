"""A budget for graphs that do not count for themselves."""

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from quillgraph.backends.budgets import Budget


class Spending(BaseCallbackHandler):
    """Counts every model call under it, and refuses those that the budget does not cover."""

    raise_error = True
    run_inline = True

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget = budget

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Admit a call.

        Raises:
            BudgetReached: Into the node that makes the call.
        """
        self._budget.admit()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Count the tokens of a reply."""
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            self._budget.count(generation.message)
