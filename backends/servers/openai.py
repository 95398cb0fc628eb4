"""Chat models behind an OpenAI-compatible address: OpenAI's own, a vLLM server, a gateway."""

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, SecretStr

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.fault import fault_in
from quillgraph.backends.messages.reply import schema_in_words
from quillgraph.backends.messages.turn import openai_form
from quillgraph.backends.runtime.loops import BackgroundLoop
from quillgraph.backends.servers.completion import completion_of, schema_format, tools_form
from quillgraph.backends.servers.endpoint import OPENAI_URL, Endpoint, find_key

if TYPE_CHECKING:
    import openai


class OpenAIChat(ChatBackend):
    """A model that a server offers under `/chat/completions`.

    Requests run on the backend's own loop: event loops cannot share connections, and each
    `asyncio.run` that ends would leave them open. Only the SDK retries failed requests; it
    honours `retry-after`.

    If a server sends no `usage`, the tokens of its calls are unknown, and the log warns once: a
    budget of tokens cannot limit such a server.

    Raises:
        ConfigError: If the address is invalid, or a required key is missing.
    """

    takes_address: ClassVar[bool] = True

    base_url: str | None = None
    """Address up to and with `/v1`; None for OpenAI's own."""
    api_key: SecretStr | None = None
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key where `api_key` is not given. Its key goes to
    `base_url`, whichever that is; only api.openai.com insists on one."""
    timeout_s: float = Field(default=600.0, gt=0)
    idle_timeout_s: float = Field(default=120.0, gt=0)
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
    """Send neither temperature nor top_p, for reasoning models, which set their own sampling."""
    thinking_tokens: int = Field(default=0, ge=0)
    """Tokens granted on top of each call's `max_tokens`, for models that think before they
    answer: what they think counts as completion."""
    items_per_call: int = Field(default=8, gt=0)
    context_tokens: int | None = Field(default=None, gt=0)

    _endpoint: Endpoint = PrivateAttr()
    _line: "_EventLine | None" = PrivateAttr(default=None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        secret = self.api_key.get_secret_value() if self.api_key else None
        self._endpoint = Endpoint(
            model=self.model,
            address=(self.base_url or OPENAI_URL).rstrip("/"),
            key=find_key(secret, self.api_key_env),
            key_place="api_key" if secret else f"the environment variable {self.api_key_env}",
            idle_timeout_s=self.idle_timeout_s,
            max_concurrency=self.max_concurrency,
        )
        if self.token_ids and self._endpoint.is_openai:
            raise ConfigError(
                f"{self._endpoint.address} returns no token ids; turn token_ids off, or give "
                "the base_url of a vLLM server"
            )

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the server, as the options declare them."""
        return Capabilities(
            json_schema=True,
            token_ids=self.token_ids,
            logprobs=self.token_ids,
            top_logprobs=self.token_ids or self.top_logprobs,
            tools=True,
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
        return completion_of(
            answer,
            request,
            self._endpoint,
            token_ids=self.token_ids,
            limit=request.max_tokens + self.thinking_tokens,
        )

    @property
    def _llm_type(self) -> str:
        return "quillgraph-openai"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params = {**super()._identifying_params, "base_url": self._endpoint.address}
        unsent = ("temperature", "top_p") if self.own_sampling else ()
        return {name: value for name, value in params.items() if name not in unsent}

    def _open(self) -> "_EventLine":
        with _opening:
            if self._line is None:
                client = self._client()
                self._line = _EventLine(BackgroundLoop(f"quillgraph-{self.model}"), client)
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
            timeout=openai.Timeout(self.idle_timeout_s, connect=min(self.idle_timeout_s, 10.0)),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=limits, event_hooks={"response": [_give_faults_their_status]}
            ),
        )

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        longest = "max_completion_tokens" if self._endpoint.is_openai else "max_tokens"
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [openai_form(turn) for turn in request.messages],
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
        if request.tools:
            body |= tools_form(request)
        if request.json_schema is not None:
            self._add_schema(body, request.json_schema)
        return body

    def _add_schema(self, body: dict[str, Any], schema: dict[str, Any]) -> None:
        if self.schema_mode == "json_schema":
            body["response_format"] = schema_format(schema)
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
        except json.JSONDecodeError as error:
            raise self._endpoint.unreadable(error.doc) from None
        except (openai.OpenAIError, UnicodeDecodeError) as error:
            raise self._endpoint.unreadable(f"{type(error).__name__}: {error}") from None


@dataclass(frozen=True, slots=True)
class _EventLine:
    loop: BackgroundLoop
    client: "openai.AsyncOpenAI"


_opening = threading.Lock()


async def _give_faults_their_status(response: Any) -> None:
    """Give an error that came under status 200 its own, so that the SDK retries it as such."""
    if response.status_code < 300 and (fault := fault_in(await response.aread())) is not None:
        response.status_code = fault.status
