"""The address of a server, and the translation of its failures into our own errors."""

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    ContextOverflow,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
    nearest,
)
from quillgraph.backends.messages.fault import fault_in, is_event_stream

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one model is served, and with which key.

    The methods turn the SDK's errors into ours. None of ours may be raised `from` one of the
    SDK's: those hold the request, and with it the key.

    Raises:
        ConfigError: If the address cannot be one, or a key is needed and there is none.
    """

    model: str
    address: str
    key: str = field(repr=False)
    """The key; empty for a server that wants none."""
    key_place: str
    """Where the key comes from, for messages."""
    idle_timeout_s: float
    max_concurrency: int
    tries: int = 0
    """Number of attempts of the call so far, for messages; 0 for a probe that is no call."""

    def __post_init__(self) -> None:
        _check_address(self.address)
        if not self.key and self.is_openai:
            raise ConfigError(f"{self.address} needs a key; put it into {self.key_place}")
        if not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError(f"the key in {self.key_place} has characters that no header takes")

    def at_try(self, tries: int) -> Self:
        """Copy the endpoint for the n-th attempt of a call."""
        return replace(self, tries=tries)

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own API, which differs from the servers made after it."""
        return urlsplit(self.address).hostname == "api.openai.com"

    def redacted(self, text: str) -> str:
        """Shorten a server's message to 400 characters, and remove the key from it."""
        return (text.replace(self.key, "***") if self.key else text)[:400]

    def connection_error(self, error: "openai.APIConnectionError") -> Unreachable:
        """Say that nobody answers, or not in time."""
        import openai

        endpoint = self.at_try(_tries(error))
        if isinstance(error, openai.APITimeoutError):
            return endpoint.silent(self.idle_timeout_s)
        return endpoint.unreachable(
            str(error.__cause__ or "") or type(error.__cause__ or error).__name__
        )

    def silent(self, seconds: float) -> Unreachable:
        """Say that the server was silent for too long."""
        return Unreachable(
            f"{self.address} gave no answer within {seconds:g} s{self._attempts}; "
            "is the server overloaded? raise idle_timeout_s or lower max_concurrency"
        )

    def unreachable(self, reason: str) -> Unreachable:
        """Say that there is no connection, or that it broke."""
        return Unreachable(
            f"cannot reach {self.address}: {self.redacted(reason)}{self._attempts}; "
            "is the server up, and is the address right?"
        )

    async def status_error(
        self, client: "openai.AsyncOpenAI", error: "openai.APIStatusError"
    ) -> BackendError:
        """Say what a status of 400 or above means, in the server's words and ours."""
        body = error.body
        message = body.get("message") if isinstance(body, dict) else body
        kind = f"{error.code} {error.type} {error.param}"
        if fault := fault_in(error.response.content):
            message, kind = fault.words, fault.kind
        listed = await self._listed(client) if error.status_code == 404 else None
        endpoint = self.at_try(_tries(error))
        return endpoint.status_meaning(
            error.status_code, str(message or body or error), kind, listed
        )

    def status_meaning(
        self, status: int, words: str, kind: str = "", listed: object = None
    ) -> BackendError:
        """Say what a status of 400 or above means.

        Args:
            status: HTTP status.
            words: The server's message.
            kind: The error's code, type and parameter, in one string.
            listed: The server's list of models, for an error about an unknown model.
        """
        message = f"{self.address} answered {status}: {self.redacted(words)}"
        if status in (401, 403):
            credential = "the key in" if self.key else "no key, for there is none in"
            check = f"check it, and that it may use model {self.model!r}"
            return Refused(f"{message}; sent was {credential} {self.key_place}: {check}")
        if status == 404:
            return Refused(f"{message}; {self._models_instead(listed)}")
        if status == 429:
            advice = f"lower max_concurrency (now {self.max_concurrency}) or look at the quota"
            return RateLimited(f"{message}{self._attempts}; {advice}")
        if status >= 500 or status == 408:  # 408: the server timed out waiting for the request
            return ServerFailed(f"{message}{self._attempts}; look into the server's log")
        if status in (400, 413) and _OVERFLOW.search(f"{kind} {message}"):
            return ContextOverflow(f"{message}; shorten the prompt or lower max_tokens")
        return Refused(message + _advice(f"{kind} {message}"))

    def check_offers(self, listed: bytes, model: str) -> None:
        """Make sure that a model is among those that the server lists.

        Raises:
            ServerFailed: If this is no list of models.
            Refused: If it is not on it.
        """
        try:
            names = [offer.id for offer in _Offers.model_validate_json(listed).data]
        except ValidationError:
            raise self.unreadable(listed.decode(errors="replace")) from None
        if model not in names:
            raise Refused(f"{self.address} serves no model {model!r}: {nearest(model, names)}")

    def unreadable(self, got: str) -> ServerFailed:
        """Say that an answer is no chat completion."""
        if is_event_stream(got):
            return ServerFailed(
                f"{self.address} answered with a stream of events, which was not asked for; turn "
                "streaming off in the gateway"
            )
        return ServerFailed(
            f"expected a chat completion from {self.address}, got {self.redacted(got)}; "
            "is there an OpenAI-compatible API at this base_url?"
        )

    @property
    def _attempts(self) -> str:
        if not self.tries:
            return ""
        return f" (tried {self.tries} times)" if self.tries > 1 else " (tried once)"

    async def _listed(self, client: "openai.AsyncOpenAI") -> object:
        import openai

        try:
            return await client.get("/models", cast_to=object, options={"max_retries": 0})
        except (openai.OpenAIError, ValueError):  # ValueError: what came is no JSON
            return None

    def _models_instead(self, listed: object) -> str:
        try:
            names = [offer.id for offer in _Offers.model_validate(listed).data]
        except ValidationError:
            return "it lists no models either: does base_url end as it should, often in /v1?"
        return f"model {self.model!r}: {nearest(self.model, names)}"


def find_key(key: str | None, variable: str) -> str:
    """Take the key given, else the one in the environment; empty if there is neither."""
    return (key or os.environ.get(variable, "")).strip()


def _tries(error: "openai.APIConnectionError | openai.APIStatusError") -> int:
    """How often the SDK has made the call that it gives up: its requests say so."""
    return int(error.request.headers.get("x-stainless-retry-count", 0)) + 1


class _Offer(BaseModel):
    id: str


class _Offers(BaseModel):
    data: tuple[_Offer, ...] = Field(min_length=1)


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"expected an address like http://127.0.0.1:8000/v1, got {address!r}")
    if parts.username or parts.password:
        raise ConfigError("base_url holds a password, which would be recorded; use api_key_env")


def _advice(message: str) -> str:
    if re.search(r"temperature|top_p", message):
        return "; if the model samples its own way, set own_sampling"
    if re.search(r"response_format|schema", message):
        return "; if it cannot decode under this JSON schema, set schema_mode to 'prompt'"
    if "logprobs" in message:
        return "; if it reports no log-probs, leave the options top_logprobs and token_ids out"
    return ""


# vLLM, OpenAI and llama.cpp each have their own words for it
_OVERFLOW = re.compile(
    r"context[ _](length|size|window)|maximum model length|max_model_len", re.IGNORECASE
)
