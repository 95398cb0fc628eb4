"""Limits on the calls, tokens and time of a run and of single nodes."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from quillgraph.backends.calls.listener import Listener
from quillgraph.backends.calls.place import Place
from quillgraph.backends.errors import BudgetReached, ConfigError


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that may be spent; None for no limit."""

    calls: int | None = None
    tokens: int | None = None
    """Tokens of prompts and completions together."""
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read amounts such as `20calls`, or `5000tokens,30s`.

        Raises:
            ConfigError: If a part is no amount, is 0, or occurs twice.
        """
        amounts: dict[str, str] = {}
        for part in text.split(","):
            match = _AMOUNT.fullmatch(part.strip())
            name = _UNITS[match[2]] if match else ""
            if match is None or name in amounts or float(match[1]) == 0:
                raise ConfigError(
                    f"expected amounts like 20calls,5000tokens,30s, each at most once and more "
                    f"than 0, got {text!r}"
                )
            amounts[name] = match[1]
        return cls(
            calls=int(amounts["calls"]) if "calls" in amounts else None,
            tokens=int(amounts["tokens"]) if "tokens" in amounts else None,
            seconds=float(amounts["seconds"]) if "seconds" in amounts else None,
        )


_AMOUNT = re.compile(r"(\d+(?=calls|tokens)|\d+(?:\.\d+)?(?=s))(calls|tokens|s)")
_UNITS = {"calls": "calls", "tokens": "tokens", "s": "seconds"}


class Account:
    """What has been spent of an allowance.

    Its clock runs while at least one call holds it.

    Args:
        allowance: The most that may be spent.
        node: The node that spends it; None for the whole run.
    """

    def __init__(self, allowance: Allowance, node: str | None = None) -> None:
        self.allowance, self.node = allowance, node
        self.calls = self.tokens = 0
        self._holders, self._since, self._elapsed = 0, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Time that the clock has run, seconds."""
        return self._elapsed + (time.monotonic() - self._since if self._holders else 0.0)

    def hold(self) -> None:
        """Start the clock, or keep it running, for one more call."""
        if not self._holders:
            self._since = time.monotonic()
        self._holders += 1

    def release(self) -> None:
        """Stop the clock, unless another call holds it."""
        self._elapsed = self.seconds
        self._since = time.monotonic()
        self._holders -= 1

    def spent(self) -> BudgetReached | None:
        """Make the error for a limit that is reached; None if a call may be made."""
        most = self.allowance
        if most.calls is not None and self.calls >= most.calls:
            return self._reached(f"{most.calls} calls", "max-calls")
        if most.tokens is not None and self.tokens >= most.tokens:
            return self._reached(f"{most.tokens} tokens", "max-tokens-total", self.tokens)
        if most.seconds is not None and self.seconds >= most.seconds:
            return self.time_over()
        return None

    def time_over(self) -> BudgetReached:
        """Make the error for time that is over."""
        holder = f"node {self.node!r}" if self.node else "the run"
        option = "node-budget" if self.node else "timeout"
        return BudgetReached(
            f"the {self.allowance.seconds:g} s of {holder} are over; raise --{option}"
        )

    def _reached(self, amount: str, option: str, used: int | None = None) -> BudgetReached:
        holder = f" of node {self.node!r}" if self.node else ""
        usage = f" ({used} used)" if used is not None else ""
        option = "node-budget" if self.node else option
        return BudgetReached(f"the budget{holder} of {amount} is spent{usage}; raise --{option}")


class Budget(Listener):
    """Refuses the next call once the run, or a node, has spent its calls, tokens or time.

    It is a LangChain callback handler, so it limits the calls of any chat model in any graph:
    `graph.ainvoke(..., config={"callbacks": [budget]})`, after all other handlers. If calls are
    recorded, give it to the `Recorder` instead. A `Role` adds its budget to its calls by itself.

    Calls are counted when they start, so a run never makes more than `max_calls`. Tokens are known
    when a reply arrives, so calls in flight at that moment may exceed `max_tokens`. When the time
    is over, calls in flight of this package's backends are stopped (`within`); calls of other chat
    models finish, and the next one is refused.

    Args:
        max_calls: Most calls of the run; None for no limit.
        max_tokens: Most tokens of the run, prompts and completions together; None for no limit.
        max_seconds: Most seconds from the first call on; None for no limit.
        nodes: What each node may spend, with the graphs inside it. The time of a node counts while
            at least one of its calls is waiting or in flight.
    """

    def __init__(
        self,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        nodes: Mapping[str, Allowance] | None = None,
    ) -> None:
        super().__init__()
        self._run = Account(Allowance(max_calls, max_tokens, max_seconds))
        self._nodes = {node: Account(most, node) for node, most in (nodes or {}).items()}
        self._admitted: dict[UUID, Sequence[str]] = {}
        self._is_running = False
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Calls of the run so far."""
        return self._run.calls

    @property
    def tokens(self) -> int:
        """Tokens of the run so far."""
        return self._run.tokens

    def accounts(self, nodes: Iterable[str]) -> list[Account]:
        """List the run's account and those of the nodes around a call."""
        return [
            self._run,
            *(self._nodes[each] for each in dict.fromkeys(nodes) if each in self._nodes),
        ]

    def admit(self, nodes: Sequence[str] = ()) -> None:
        """Count a call that is about to be made.

        Args:
            nodes: The nodes around the call.

        Raises:
            BudgetReached: If the run or one of the nodes may make no further call.
        """
        with self._lock:
            accounts = self.accounts(nodes)
            for account in accounts:
                if error := account.spent():
                    raise error
            if not self._is_running:
                self._run.hold()  # never released: the run's time goes on between its calls
                self._is_running = True
            for account in accounts:
                account.calls += 1

    def charge(self, nodes: Sequence[str], tokens: int) -> None:
        """Count a call that an earlier process of the run made."""
        with self._lock:
            for account in self.accounts(nodes):
                account.calls += 1
                account.tokens += tokens

    def count(self, reply: BaseMessage, nodes: Sequence[str] = ()) -> None:
        """Count the tokens of a reply."""
        usage = reply.usage_metadata if isinstance(reply, AIMessage) else None
        with self._lock:
            for account in self.accounts(nodes):
                account.tokens += usage.get("total_tokens", 0) if usage else 0

    def on_chat_model_start(
        self,
        *args: Any,
        run_id: UUID,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Admit a call.

        Raises:
            BudgetReached: In the node that makes the call, if nothing is left.
        """
        nodes = Place.of(metadata).nodes
        self.admit(nodes)
        self._admitted[run_id] = nodes

    def on_llm_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """As `on_chat_model_start`, of a model that completes a text."""
        self.on_chat_model_start(run_id=run_id, metadata=kwargs.get("metadata"))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count the tokens of a reply."""
        nodes = self._admitted.pop(run_id, ())
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration):
            self.count(generation.message, nodes)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget a call that failed."""
        self._admitted.pop(run_id, None)


def budgets_of(handlers: Iterable[BaseCallbackHandler]) -> list[Budget]:
    """List the budgets of a call, each once: its handlers that are one or hold one."""
    budgets = [getattr(each, "budget", each) for each in _with_around(handlers)]
    return list(dict.fromkeys(each for each in budgets if isinstance(each, Budget)))


def _with_around(handlers: Iterable[Any]) -> Iterable[Any]:
    """The handlers, and those of the runs that theirs is made within."""
    for each in handlers:
        handler = each
        while handler is not None:
            yield handler
            handler = getattr(handler, "around", None)


def was_stopped(error: BudgetReached) -> bool:
    """Whether the error stopped a call in flight (`within`), and not one before it was made."""
    return isinstance(error.__cause__, TimeoutError)


@asynccontextmanager
async def within(budgets: Iterable[Budget], nodes: Sequence[str]) -> AsyncIterator[None]:
    """Run the clocks of a call's budgets, and stop the call when the time of one is over.

    Raises:
        BudgetReached: When the time of a budget is over.
    """
    accounts = [
        account
        for budget in budgets
        for account in budget.accounts(nodes)
        if account.allowance.seconds is not None
    ]
    if not accounts:
        yield
        return
    for account in accounts:
        account.hold()
    remaining_s, first = min(
        ((account.allowance.seconds or 0.0) - account.seconds, number)
        for number, account in enumerate(accounts)
    )
    limit = asyncio.timeout(max(remaining_s, 0.0))
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise accounts[first].time_over() from error
    finally:
        for account in accounts:
            account.release()
