"""Turns chat completions of OpenAI-compatible servers into a `Completion` or an error.

It ignores fields that it does not need.
"""

import logging
import re
from functools import cache
from typing import Any, NotRequired

from pydantic import BaseModel, Field, ValidationError
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import Refused, ServerFailed
from quillgraph.backends.messages.tools import NONE, REQUIRED
from quillgraph.backends.messages.trace import (
    Alternative,
    Position,
    TokenTrace,
    logprob,
    position,
    sampled_logprobs,
)
from quillgraph.backends.messages.turn import ToolCall
from quillgraph.backends.servers.endpoint import Endpoint

logger = logging.getLogger(__name__)


class Function(BaseModel):
    """The tool of a call, and its arguments."""

    name: str | None = None
    arguments: str | None = None
    """JSON, unless the reply was cut short or is malformed."""


class Called(BaseModel):
    """A tool call that the server parsed from the reply."""

    id: str | None = None
    function: Function = Function()


class Message(BaseModel):
    """The text and tool calls of a reply, or the reason of a refusal."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """What a reasoning model thought, by the name that the server has for it."""
    tool_calls: tuple[Called, ...] | None = None


class LikelyToken(TypedDict):
    """One of the most probable tokens in the place of another."""

    token: str
    logprob: float


class TokenLogprob(TypedDict):
    """A token of the reply.

    A dict and no model: replies have hundreds, and models take twice as long to read.
    """

    logprob: float
    token: NotRequired[str | None]
    top_logprobs: NotRequired[tuple[LikelyToken, ...] | None]


class Logprobs(BaseModel):
    """The tokens of the reply, in order."""

    content: tuple[TokenLogprob, ...] | None = None


class Choice(BaseModel):
    """One reply."""

    message: Message
    finish_reason: str
    logprobs: Logprobs | None = None
    token_ids: tuple[int, ...] | None = None


class PromptDetails(BaseModel):
    """Details on the tokens of the prompt."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """How many tokens the server counted."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptDetails | None = None

    @property
    def is_a_count(self) -> bool:
        """Whether these can be numbers of tokens; some proxies write -1 for those unknown."""
        return self.prompt_tokens >= 0 and self.completion_tokens >= 0

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server had in its cache; None if it does not say."""
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return None if cached is None or cached < 0 else cached


class ServerAnswer(BaseModel):
    """A whole chat completion."""

    choices: tuple[Choice, ...] = Field(min_length=1)
    model: str | None = None
    usage: Usage | None = None
    prompt_token_ids: tuple[int, ...] | None = None


def alternatives_in(choice: Choice, address: str) -> tuple[Position, ...] | None:
    """Read the alternatives to each token; None if any token comes without them.

    Raises:
        ServerFailed: If the server at this address gives a log-prob that is none.
    """
    if choice.logprobs is None or choice.logprobs.content is None:
        return None
    where = f"reply of {address}"
    positions = [_position(token, where) for token in choice.logprobs.content]
    whole = tuple(each for each in positions if each is not None)
    return whole if len(whole) == len(positions) else None


def _position(entry: TokenLogprob, where: str) -> Position | None:
    token, likely = entry.get("token"), entry.get("top_logprobs")
    if token is None or not likely:
        return None
    sampled, others = LikelyToken(token=token, logprob=entry["logprob"]), [*likely]
    if sampled in others:  # by text alone it could be another: servers show split characters alike
        others.remove(sampled)
    sampled_first = [
        Alternative(text=each["token"], logprob=logprob(each["logprob"], where))
        for each in (sampled, *others)
    ]
    return position(sampled_first[0], sampled_first[1:])


def completion_of(
    answer: object,
    request: ChatRequest,
    endpoint: Endpoint,
    *,
    token_ids: bool,
    weights_version: str = "base",
    model: str | None = None,
) -> Completion:
    """Read a server's answer, as JSON text or as what has been parsed of it.

    Args:
        answer: The server's answer.
        request: The request that it answers.
        endpoint: The server.
        token_ids: Whether the answer must have token ids and log-probs.
        weights_version: Name of the weights in the trace.
        model: The model name that the answer must have, if it has one; None for servers such as
            OpenAI's that answer under another name.

    Raises:
        Refused: If the model or a filter declined, or the answer lacks requested fields.
        ServerFailed: If the answer is no completion, or contradicts itself.
    """
    reply = _parsed(answer, endpoint)
    if model is not None and reply.model not in (None, model):
        raise Refused(
            f"{endpoint.address} was asked for model {model!r} and answered as "
            f"{endpoint.redacted(reply.model or '')!r}; is the right server at this address?"
        )
    choice = reply.choices[0]
    if choice.finish_reason in ("abort", "error"):
        raise ServerFailed(f"{endpoint.address} gave up in the middle of a reply")
    if choice.message.refusal:
        refusal = endpoint.redacted(choice.message.refusal)
        raise Refused(f"model {endpoint.model!r} will not answer: {refusal}")
    if choice.finish_reason == "content_filter":
        raise Refused(
            f"the content filter of {endpoint.address} cut the reply of {endpoint.model!r}; "
            "change the request or the model"
        )
    trace = _trace(reply, endpoint, weights_version) if token_ids else None
    has_usage = reply.usage is not None and reply.usage.is_a_count
    usage = reply.usage if reply.usage and has_usage else _own_count(trace, endpoint)
    return Completion(
        text=choice.message.content or "",
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        trace=trace,
        alternatives=_alternatives(reply, endpoint) if request.top_logprobs else None,
        tool_calls=_calls(choice, request),
        reasoning=choice.message.reasoning_content or choice.message.reasoning or "",
    ).with_calls_read(request)


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    """How a request asks for a reply that is decoded under a JSON schema."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title", "reply")))[:64]
    form = {"name": name, "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": form}


def tools_form(request: ChatRequest, *, strict: bool = False) -> dict[str, Any]:
    """How a request offers tools.

    Args:
        request: The request.
        strict: Have the arguments of a call that must be made decoded under their schema. OpenAI
            takes schemas of one kind only for that, and decodes such calls well without.
    """
    tools: list[dict[str, Any]] = list(request.tools)
    if strict and request.forced:
        tools = [{**tool, "function": {**tool["function"], "strict": True}} for tool in tools]
    choice: str | dict[str, Any] = request.tool_choice or "auto"
    if choice not in ("auto", NONE, REQUIRED):
        choice = {"type": "function", "function": {"name": choice}}
    return {"tools": tools, "tool_choice": choice}


def _calls(choice: Choice, request: ChatRequest) -> tuple[ToolCall, ...]:
    """The calls that the server has read.

    vLLM drops a required call that was cut short, so that one is rebuilt from its tokens.
    """
    calls = choice.message.tool_calls or ()
    if not calls and request.forced and not choice.message.content:
        tokens = choice.logprobs.content if choice.logprobs else None
        if choice.finish_reason == "length" and tokens:
            spelled = "".join([token.get("token") or "" for token in tokens])
            return (ToolCall(id="call_0", name=None, arguments=spelled),)
    return tuple(
        ToolCall(
            id=each.id or f"call_{number}",
            name=each.function.name,
            arguments=each.function.arguments or "",
        )
        for number, each in enumerate(calls)
    )


def _parsed(answer: object, endpoint: Endpoint) -> ServerAnswer:
    try:
        if isinstance(answer, str | bytes):
            return ServerAnswer.model_validate_json(answer)
        return ServerAnswer.model_validate(answer)
    except ValidationError:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else repr(answer)
        raise endpoint.unreadable(text) from None


def _trace(reply: ServerAnswer, endpoint: Endpoint, weights_version: str) -> TokenTrace:
    choice = reply.choices[0]
    tokens = choice.logprobs.content if choice.logprobs else None
    if reply.prompt_token_ids is None or choice.token_ids is None or tokens is None:
        raise Refused(
            f"token_ids is on, but {endpoint.address} answered without token ids or "
            "log-probs; vLLM gives both, for other servers turn token_ids off"
        )
    where = f"reply of {endpoint.address}"
    logprobs = sampled_logprobs([token["logprob"] for token in tokens], where)
    try:
        trace = TokenTrace(
            prompt_ids=reply.prompt_token_ids,
            completion_ids=choice.token_ids,
            logprobs=logprobs,
            finish_reason=choice.finish_reason,
            weights_version=weights_version,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ServerFailed(f"{where}: {reason}") from error
    spelled = "".join([token.get("token") or "" for token in tokens])
    text = choice.message.content or ""
    if not _spells(spelled, text):
        raise ServerFailed(
            f"{where}: its tokens spell {endpoint.redacted(spelled)!r}, its text "
            f"is {endpoint.redacted(text)!r}; ids and text must be of one reply"
        )
    return trace


def _spells(spelled: str, text: str) -> bool:
    """Whether tokens can be those of a text.

    Servers strip blanks, leave out what a reasoning parser took, and show a character that several
    tokens share as a replacement; tokens that are given as `token_id:7` spell nothing.
    """
    return text.strip() in spelled or "\ufffd" in spelled or spelled.startswith("token_id:")


def _alternatives(reply: ServerAnswer, endpoint: Endpoint) -> tuple[Position, ...]:
    if (alternatives := alternatives_in(reply.choices[0], endpoint.address)) is None:
        raise Refused(
            f"top_logprobs was asked for, but {endpoint.address} answered without the "
            "alternatives to each token; OpenAI's models that do not reason and vLLM give "
            "them, for others leave the option top_logprobs out"
        )
    return alternatives


def _own_count(trace: TokenTrace | None, endpoint: Endpoint) -> Usage:
    if trace:
        return Usage(
            prompt_tokens=len(trace.prompt_ids), completion_tokens=len(trace.completion_ids)
        )
    _say_no_usage(endpoint.address)
    return Usage(prompt_tokens=0, completion_tokens=0)


@cache
def _say_no_usage(address: str) -> None:
    logger.warning("%s reports no usage: its calls count as 0 tokens", address)
