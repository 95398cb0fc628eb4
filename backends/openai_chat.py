"""Chat models behind an OpenAI-compatible address: OpenAI's own, a vLLM server, a gateway."""

import asyncio
import json
import logging
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion, schema_in_words
from quillgraph.backends.errors import ConfigError, Refused, ServerFailed
from quillgraph.backends.loops import BackgroundLoop
from quillgraph.backends.openai_endpoint import OPENAI_URL, Endpoint, find_key
from quillgraph.backends.openai_reply import Answer, Usage, alternatives_in
from quillgraph.backends.traces import Position, TokenTrace

if TYPE_CHECKING:
    import openai

logger = logging.getLogger(__name__)


class OpenAIChat(ChatBackend):
    """A model that a server offers under `/chat/completions`.

    Requests run on a loop of the backend's own: connections cannot be shared between event
    loops, and would be left open by each `asyncio.run` that ends. Failed requests are tried
    again by the SDK, which honours `retry-after`, and by nothing else.

    A server that sends no `usage` leaves its calls counted as 0 tokens, which is said once in
    the log: a budget of tokens cannot hold such a server.

    Raises:
        ConfigError: If the address cannot be one, or a key is needed and there is none.
    """

    base_url: str | None = None
    """Address up to and with `/v1`; None for OpenAI's own."""
    api_key: SecretStr | None = None
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key where `api_key` is not given. Its key goes to
    `base_url`, whichever that is; only api.openai.com insists on one."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest silence of the server in one attempt, seconds."""
    max_retries: int = Field(default=4, ge=0)
    schema_mode: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """How a JSON schema is asked for: decoded under it, decoded as any JSON with the schema in
    words, or only in words. In strict mode OpenAI wants models with `extra="forbid"`."""
    token_ids: bool = False
    """Ask for token ids and log-probs, and refuse replies without them. vLLM gives both; start
    it with `--logprobs-mode processed_logprobs`, or the log-probs are those before temperature."""
    top_logprobs: bool = False
    """Whether the server can report the most probable tokens in each token's place, as OpenAI's
    own models do but for those that reason; `token_ids` says as much of a vLLM server. OpenAI's
    log-probs are those before temperature."""
    own_sampling: bool = False
    """Send neither temperature nor top_p: reasoning models sample their own way."""
    thinking_tokens: int = Field(default=0, ge=0)
    """Tokens granted on top of each call's `max_tokens`, for models that think before they
    answer: what they think counts as completion."""
    items_per_call: int = Field(default=8, gt=0)
    context_tokens: int | None = Field(default=None, gt=0)

    _endpoint: Endpoint = PrivateAttr()
    _line: "_Line | None" = PrivateAttr(default=None)
    _said_no_usage: bool = PrivateAttr(default=False)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        secret = self.api_key.get_secret_value() if self.api_key else None
        self._endpoint = Endpoint(
            model=self.model,
            address=(self.base_url or OPENAI_URL).rstrip("/"),
            key=find_key(secret, self.api_key_env),
            key_place="api_key" if secret else f"the environment variable {self.api_key_env}",
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            max_concurrency=self.max_concurrency,
        )
        if self.token_ids and self._endpoint.is_openai:
            raise ConfigError(
                f"{self._endpoint.address} returns no token ids; turn token_ids off, or give "
                "the base_url of a vLLM server"
            )

    @property
    def capabilities(self) -> Capabilities:
        """What the options above make of the server."""
        return Capabilities(
            json_schema=True,
            token_ids=self.token_ids,
            logprobs=self.token_ids,
            top_logprobs=self.token_ids or self.top_logprobs,
            items_per_call=self.items_per_call,
            context_tokens=self.context_tokens,
        )

    async def aclose(self) -> None:
        """Close the connections and the loop; a later call opens new ones."""
        with _opening:
            line, self._line = self._line, None
        if line:
            await line.loop.run(line.client.close())
            await asyncio.to_thread(line.loop.close)

    async def _complete(self, request: ChatRequest) -> Completion:
        line = self._open()
        answer = await line.loop.run(self._ask(line.client, self._body(request)))
        return self._read(answer, request)

    @property
    def _llm_type(self) -> str:
        return "quillgraph-openai"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params = {**super()._identifying_params, "base_url": self._endpoint.address}
        unsent = ("temperature", "top_p") if self.own_sampling else ()
        return {name: value for name, value in params.items() if name not in unsent}

    def _open(self) -> "_Line":
        with _opening:
            if self._line is None:
                client = self._client()
                self._line = _Line(BackgroundLoop(f"quillgraph-{self.model}"), client)
            return self._line

    def _client(self) -> "openai.AsyncOpenAI":
        import openai

        # the SDK's own class, so that neither httpx nor httpx2 need be named here
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
            max_connections=self.max_concurrency, max_keepalive_connections=self.max_concurrency
        )
        return openai.AsyncOpenAI(
            api_key=self._endpoint.key or "EMPTY",
            base_url=self._endpoint.address,
            max_retries=self.max_retries,
            timeout=openai.Timeout(self.timeout_s, connect=min(self.timeout_s, 10.0)),
            http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        )

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        longest = "max_completion_tokens" if self._endpoint.is_openai else "max_tokens"
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [turn.model_dump() for turn in request.messages],
            longest: request.max_tokens + self.thinking_tokens,
        }
        if not self.own_sampling:
            body |= {"temperature": request.temperature, "top_p": request.top_p}
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        if self.token_ids:
            body |= {"return_token_ids": True, "logprobs": True}
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.json_schema is not None:
            self._add_schema(body, request.json_schema)
        return body

    def _add_schema(self, body: dict[str, Any], schema: dict[str, Any]) -> None:
        if self.schema_mode == "json_schema":
            name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title", "reply")))[:64]
            asked = {"name": name, "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": asked}
            return
        if self.schema_mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        words = schema_in_words(schema)
        users = [message for message in body["messages"] if message["role"] == "user"]
        if users:
            users[-1]["content"] += f"\n\n{words}"
        else:
            body["messages"].append({"role": "user", "content": words})

    async def _ask(self, client: "openai.AsyncOpenAI", body: dict[str, Any]) -> object:
        import openai

        try:
            return await client.post("/chat/completions", body=body, cast_to=object)
        except openai.APIStatusError as error:
            raise await self._endpoint.status_error(client, error) from None
        except openai.APIConnectionError as error:
            raise self._endpoint.connection_error(error) from None
        except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise self._endpoint.unreadable(f"{type(error).__name__}: {error}") from None

    def _read(self, answer: object, request: ChatRequest) -> Completion:
        try:
            read = (
                Answer.model_validate_json(answer)  # JSON under another content type
                if isinstance(answer, str)
                else Answer.model_validate(answer)
            )
        except ValidationError:
            raise self._endpoint.unreadable(repr(answer)) from None
        choice = read.choices[0]
        if choice.message.refusal:
            said = self._endpoint.shown(choice.message.refusal)
            raise Refused(f"model {self.model!r} will not answer: {said}")
        if choice.finish_reason == "content_filter":
            raise Refused(
                f"the content filter of {self._endpoint.address} cut the reply of {self.model!r}; "
                "change the request or the model"
            )
        trace = self._trace(read) if self.token_ids else None
        usage = read.usage or self._own_count(trace)
        return Completion(
            text=choice.message.content or "",
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            trace=trace,
            alternatives=self._alternatives(read) if request.top_logprobs else None,
        )

    def _trace(self, read: Answer) -> TokenTrace:
        choice = read.choices[0]
        tokens = choice.logprobs.content if choice.logprobs else None
        if read.prompt_token_ids is None or choice.token_ids is None or tokens is None:
            raise Refused(
                f"token_ids is on, but {self._endpoint.address} answered without token ids or "
                "log-probs; vLLM gives both, for other servers turn token_ids off"
            )
        try:
            return TokenTrace(
                prompt_ids=read.prompt_token_ids,
                completion_ids=choice.token_ids,
                logprobs=tuple(token.logprob for token in tokens),
                finish_reason=choice.finish_reason,
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ServerFailed(f"reply of {self._endpoint.address}: {reason}") from error

    def _alternatives(self, read: Answer) -> tuple[Position, ...]:
        if (found := alternatives_in(read.choices[0])) is None:
            raise Refused(
                f"top_logprobs was asked for, but {self._endpoint.address} answered without the "
                "alternatives to each token; OpenAI's models that do not reason and vLLM give "
                "them, for others leave the option top_logprobs out"
            )
        return found

    def _own_count(self, trace: TokenTrace | None) -> Usage:
        if trace:
            return Usage(
                prompt_tokens=len(trace.prompt_ids), completion_tokens=len(trace.completion_ids)
            )
        if not self._said_no_usage:
            self._said_no_usage = True
            address = self._endpoint.address
            logger.warning("%s reports no usage: its calls count as 0 tokens", address)
        return Usage(prompt_tokens=0, completion_tokens=0)


@dataclass(frozen=True, slots=True)
class _Line:
    loop: BackgroundLoop
    client: "openai.AsyncOpenAI"


_opening = threading.Lock()
