"""Turns chat completions of OpenAI-compatible servers into a `Completion` or an error."""

import logging
import re
from functools import cache
from typing import Any

from pydantic import ValidationError

from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import Refused, ServerFailed
from quillgraph.backends.messages.finish import FAILED, FILTER, LENGTH, UNKNOWN
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
from quillgraph.backends.servers.answer import (
    Choice,
    LikelyToken,
    ServerAnswer,
    TokenLogprob,
    Usage,
    read_answer,
)
from quillgraph.backends.servers.endpoint import Endpoint

logger = logging.getLogger(__name__)


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
    limit: int | None = None,
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
        limit: How many tokens the server was asked for at most; None for the request's.

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
    if choice.finish_reason == FAILED:
        raise ServerFailed(f"{endpoint.address} gave up in the middle of a reply")
    if choice.message.refusal:
        refusal = endpoint.redacted(choice.message.refusal)
        raise Refused(f"model {endpoint.model!r} will not answer: {refusal}")
    if choice.finish_reason == FILTER:
        raise Refused(
            f"the content filter of {endpoint.address} cut the reply of {endpoint.model!r}; "
            "change the request or the model"
        )
    trace = _trace(reply, endpoint, weights_version) if token_ids else None
    calls = _calls(choice, request)
    if not (choice.message.content or calls or request.has_user):
        raise Refused(f"{endpoint.address} answered with an empty text")
    usage = _usage(reply, trace, endpoint)
    if choice.finish_reason == UNKNOWN and usage.completion_tokens is not None:
        # the server does not say, and its count does
        is_spent = usage.completion_tokens >= (limit or request.max_tokens)
        choice.finish_reason = LENGTH if is_spent else UNKNOWN
    return Completion(
        text=choice.message.content or "",
        reasoning=choice.message.reasoning,
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        trace=trace,
        alternatives=_alternatives(reply, endpoint) if request.top_logprobs else None,
        tool_calls=calls,
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
        if choice.finish_reason == LENGTH and tokens:
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
        return read_answer(answer)
    except ValueError:
        text = answer if isinstance(answer, str | bytes) else repr(answer)
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
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


def _usage(reply: ServerAnswer, trace: TokenTrace | None, endpoint: Endpoint) -> Usage:
    usage = reply.usage or Usage()
    if not usage.completion_tokens and (reply.choices[0].message.content or trace):
        usage.completion_tokens = None  # a text of no tokens was not counted
    if trace:
        if usage.prompt_tokens is None:
            usage.prompt_tokens = len(trace.prompt_ids)
        if usage.completion_tokens is None:
            usage.completion_tokens = len(trace.completion_ids)
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        _say_no_usage(endpoint.address)
    return usage


@cache
def _say_no_usage(address: str) -> None:
    logger.warning(
        "%s reports no usage, or a part of it: the tokens of its calls are unknown, and no budget "
        "of tokens counts them",
        address,
    )
