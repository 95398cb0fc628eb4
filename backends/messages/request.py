"""Requests to an engine and its completions, independent of any engine."""

import hashlib
import json
import operator
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from quillgraph.backends.messages.tools import NONE, forced, split_calls
from quillgraph.backends.messages.trace import Position, TokenTrace
from quillgraph.backends.messages.turn import ChatTurn, ToolCall


class ChatRequest(BaseModel):
    """Everything that an engine needs for a reply; equal requests have equal hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[ChatTurn, ...]
    json_schema: dict[str, Any] | None = None
    """JSON schema that the reply must satisfy; None for free text."""
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1, exclude_if=operator.not_)
    """Share of the likeliest token's probability, after the temperature, that a token needs to be
    drawn (arXiv:2407.01082); 0 keeps all. At temperature 0 it decides nothing."""
    repetition_penalty: float = Field(default=1.0, gt=0, exclude_if=lambda value: value == 1.0)
    """Divides the positive logits of tokens in prompt and reply, and multiplies the others, before
    the temperature (CTRL, arXiv:1909.05858); 1 changes nothing."""
    max_tokens: int = Field(gt=0)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = Field(default=0, ge=0, le=20)
    """How many of the most probable tokens to report for each token of the reply. 20 is the most
    that OpenAI, and vLLM as it is set up, give."""
    tools: tuple[dict[str, Any], ...] = Field(default=(), exclude_if=operator.not_)
    """The tools that it may call, as OpenAI describes them (`tools.offer`)."""
    tool_choice: str | None = Field(default=None, exclude_if=operator.not_)
    """`none`, `required`, or the name of the tool that the model must call; None lets it choose."""

    @property
    def is_bent(self) -> bool:
        """Whether min-p or a repetition penalty changes the distribution of the draw."""
        return self.min_p > 0 or self.repetition_penalty != 1

    @property
    def has_user(self) -> bool:
        """Whether there is more than turns of the system, which some models answer with nothing."""
        return any(turn.role != "system" for turn in self.messages)

    @property
    def may_call(self) -> bool:
        """Whether the reply may call tools."""
        return bool(self.tools) and self.tool_choice != NONE

    @property
    def forced(self) -> list[dict[str, Any]]:
        """The functions of which the reply must call one; empty if no call is required."""
        return forced(self.tools, self.tool_choice)

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical JSON form."""
        canonical = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


class Completion(BaseModel):
    """One reply of an engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """The text of the reply, without its tool calls."""
    reasoning: str = Field(default="", exclude_if=operator.not_)
    """What the model thought before the text, where the engine keeps it apart."""
    finish_reason: str
    """`length` if it was cut short; `unknown` if the engine does not say."""
    prompt_tokens: int | None
    """None if the engine does not say."""
    completion_tokens: int | None
    """With those of the thinking; None if the engine does not say."""
    cached_tokens: int | None = None
    """Tokens of the prompt that the engine had in its prefix cache; None if it does not say."""
    trace: TokenTrace | None = None
    alternatives: tuple[Position, ...] | None = None
    """One per token of the completion, in order; None unless `top_logprobs` asked for them."""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=operator.not_)
    """The tool calls of the reply in order, including those that cannot be read."""
    opened_thinking: bool = Field(default=False, exclude_if=operator.not_)
    """Whether the chat template has opened the thinking, so that the text begins within it."""

    def with_calls_read(self, request: ChatRequest) -> Self:
        """Move the tool calls out of the text, if the engine left them in it."""
        if not request.may_call:
            return self
        text, calls = split_calls(self.text, request.sha256)
        return self.model_copy(update={"text": text, "tool_calls": self.tool_calls + calls})


OPTIONS = frozenset(ChatRequest.model_fields) - {"messages", "stop"}
"""Names of the options of a call."""
