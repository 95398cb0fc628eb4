"""What is read of a chat completion as OpenAI-compatible servers send it; all else is passed by."""

from typing import NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from quillgraph.backends.messages.trace import Alternative, Position, logprob, position


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
    def is_a_count(self) -> bool:
        """Whether these can be numbers of tokens; some proxies write -1 for those unknown."""
        return self.prompt_tokens >= 0 and self.completion_tokens >= 0

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server had in its cache; None if it does not say."""
        told = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return None if told is None or told < 0 else told


class Answer(BaseModel):
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


def _position(told: TokenLogprob, where: str) -> Position | None:
    token, likely = told.get("token"), told.get("top_logprobs")
    if token is None or not likely:
        return None
    sampled, others = LikelyToken(token=token, logprob=told["logprob"]), [*likely]
    if sampled in others:  # by text alone it could be another: servers show split characters alike
        others.remove(sampled)
    sampled_first = [
        Alternative(text=each["token"], logprob=logprob(each["logprob"], where))
        for each in (sampled, *others)
    ]
    return position(sampled_first[0], sampled_first[1:])
