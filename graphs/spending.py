"""A budget for graphs that do not count for themselves."""

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from quillgraph.backends.budgets import Budget
from quillgraph.backends.records import Recorder


class SpendingRecorder(Recorder):
    """Records the calls that a budget covers, and refuses the others into the node that makes them.

    It has to be the last of a run's handlers: LangChain never awaits those after one that raises.
    """

    budget: Budget | None = None

    @property
    def ignore_chain(self) -> bool:
        """A run hears several of these for each call, and a recorder has no use for them."""
        return True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Admit a call, then note where it begins.

        Raises:
            BudgetReached: If the budget is spent; the call is then not recorded.
        """
        if self.budget:
            self.budget.admit()
        super().on_chat_model_start(*args, **kwargs)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Count the tokens of a reply, and write its record."""
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if self.budget and isinstance(message, AIMessage):
            self.budget.count(message)
        super().on_llm_end(response, **kwargs)
