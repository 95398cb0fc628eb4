"""What is read of a chat completion as OpenAI-compatible servers send it; all else is passed by."""

from typing import NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from quillgraph.backends.traces import Alternative, Position, position


class Function(BaseModel):
    """Which tool is called, and with what."""

    name: str | None = None
    arguments: str | None = None
    """JSON, unless the model broke off or erred."""


class Called(BaseModel):
    """A call that the server has read from the reply."""

    id: str | None = None
    function: Function = Function()


class Message(BaseModel):
    """What the model said and called, or why it would not."""

    content: str | None = None
    refusal: str | None = None
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
    """What the prompt's tokens were."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """How many tokens the server counted."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server had in its cache; None if it does not say."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None


class Answer(BaseModel):
    """A whole chat completion."""

    choices: tuple[Choice, ...] = Field(min_length=1)
    model: str | None = None
    usage: Usage | None = None
    prompt_token_ids: tuple[int, ...] | None = None


def alternatives_in(choice: Choice) -> tuple[Position, ...] | None:
    """Read the alternatives to each token; None if any token comes without them."""
    if choice.logprobs is None or choice.logprobs.content is None:
        return None
    positions = [_position(token) for token in choice.logprobs.content]
    whole = tuple(each for each in positions if each is not None)
    return whole if len(whole) == len(positions) else None


def _position(told: TokenLogprob) -> Position | None:
    token, likely = told.get("token"), told.get("top_logprobs")
    if token is None or not likely:
        return None
    sampled, others = LikelyToken(token=token, logprob=told["logprob"]), [*likely]
    if sampled in others:  # by text alone it could be another: servers show split characters alike
        others.remove(sampled)
    return position(_said(sampled), [_said(other) for other in others])


def _said(token: LikelyToken) -> Alternative:
    return Alternative(text=token["token"], logprob=min(0.0, token["logprob"]))
