"""Chat completions as servers really write them: fields missing, null, or of another type.

A field that a reply can do without is None if it cannot be read; only a reply without a message is
no reply. Fields that nobody needs are ignored.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any, NotRequired

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from quillgraph.backends.messages.finish import UNKNOWN, finish_in, finish_of
from quillgraph.backends.messages.thought import THINKING_FIELDS
from quillgraph.backends.messages.turn import whole_characters


def _or_none(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


Unread = WrapValidator(_or_none)
"""Makes a field None if it cannot be read."""


def _as_json(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
    return whole_characters(text) if isinstance(text, str) else text


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Function(BaseModel):
    """The tool of a call, and its arguments."""

    name: str | None = None
    arguments: Annotated[str | None, BeforeValidator(_as_json)] = None
    """JSON, unless the reply was cut short or is malformed."""


class Called(BaseModel):
    """A tool call that the server parsed from the reply."""

    id: Annotated[str | None, BeforeValidator(_as_text)] = None
    function: Function = Function()


class Message(BaseModel):
    """The text and tool calls of a reply, or the reason of a refusal."""

    content: str | None = None
    reasoning: str = ""
    """What the model thought, where the server keeps it apart."""
    refusal: Annotated[str | None, Unread] = None
    tool_calls: tuple[Called, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_one_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        text, thought = _parts(value.get("content"))
        thoughts = [thought, *(_prose(value.get(name)) for name in THINKING_FIELDS)]
        calls = value.get("tool_calls")
        if not calls and isinstance(value.get("function_call"), dict):
            calls = [{"function": value["function_call"]}]
        if isinstance(calls, dict):
            calls = [calls]
        reasoning = whole_characters(next((each for each in thoughts if each), ""))
        text = whole_characters(text) if isinstance(text, str) else text
        return {**value, "content": text, "reasoning": reasoning, "tool_calls": calls}


def _parts(content: Any) -> tuple[Any, str]:
    """The text of a message's content, and the thinking in it."""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return content, ""
    texts, thoughts = [], []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else "text"
        if kind in ("thinking", "reasoning", "redacted_thinking"):
            thoughts.append(_prose(part))
        elif kind in ("text", "output_text", None):
            texts.append(_prose(part))
    return "".join(texts), "".join(thoughts)


def _prose(part: Any) -> str:
    """The words in a part: a string, a block that holds some, or a list of blocks."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_prose, part))
    if isinstance(part, dict):
        names = ("text", "thinking", "reasoning", "content", "summary")
        return next((words for name in names if (words := _prose(part.get(name)))), "")
    return ""


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
    finish_reason: Annotated[str, BeforeValidator(finish_of)] = UNKNOWN
    logprobs: Annotated[Logprobs | None, Unread] = None
    token_ids: Annotated[tuple[int, ...] | None, Unread] = None

    @model_validator(mode="before")
    @classmethod
    def _in_one_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        message = value.get("message")
        if message is None and isinstance(value.get("text"), str):
            message = {"content": value["text"]}
        return {**value, "message": message, "finish_reason": finish_in(value)}


def _no_negative(value: Any) -> Any:
    """Drop what is no count; some proxies write -1 for those unknown."""
    return None if isinstance(value, int | float) and value < 0 else value


Count = Annotated[int | None, BeforeValidator(_no_negative), Unread]


class PromptDetails(BaseModel):
    """Details on the tokens of the prompt."""

    cached_tokens: Count = None


class Usage(BaseModel):
    """How many tokens the server counted; None for what it does not say."""

    prompt_tokens: Count = Field(
        default=None, validation_alias=AliasChoices("prompt_tokens", "input_tokens")
    )
    completion_tokens: Count = Field(
        default=None, validation_alias=AliasChoices("completion_tokens", "output_tokens")
    )
    total_tokens: Count = None
    prompt_tokens_details: Annotated[PromptDetails | None, Unread] = None

    @model_validator(mode="after")
    def _counts_by_the_total(self) -> "Usage":
        prompt, written, total = self.prompt_tokens, self.completion_tokens, self.total_tokens
        if total is not None and written is None and prompt is not None and total > prompt:
            self.completion_tokens = total - prompt
        if total is not None and prompt is None and written is not None and total > written:
            self.prompt_tokens = total - written
        return self

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server had in its cache; None if it does not say."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None


class ServerAnswer(BaseModel):
    """A whole chat completion."""

    choices: tuple[Choice, ...] = Field(min_length=1)
    model: Annotated[str | None, Unread] = None
    usage: Annotated[Usage | None, Unread] = None
    prompt_token_ids: Annotated[tuple[int, ...] | None, Unread] = None


def read_answer(answer: object) -> ServerAnswer:
    """Read an answer, as JSON text or as what has been parsed of it.

    Half a character (a lone surrogate, which gateways leave where they cut a text) becomes U+FFFD,
    as engines write it.

    Raises:
        ValueError: If it is no chat completion.
    """
    try:
        if isinstance(answer, str | bytes):
            return ServerAnswer.model_validate_json(answer)
        return ServerAnswer.model_validate(answer)
    except ValidationError:
        value = json.loads(answer) if isinstance(answer, str | bytes) else answer
        text = json.dumps(value, ensure_ascii=False)
        if (whole := whole_characters(text)) == text:
            raise
        return ServerAnswer.model_validate_json(whole)
