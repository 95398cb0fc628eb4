"""Models behind `vllm serve`: one server or many, with exact tokens, at high concurrency."""

import asyncio
import json
import random
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import BackendError
from quillgraph.backends.lane import Lane, Reply
from quillgraph.backends.openai_completion import completion_of, schema_format
from quillgraph.backends.openai_endpoint import Endpoint, find_key


class VllmServerChat(ChatBackend):
    """A model on one or more vLLM servers."""

    max_concurrency: int = Field(default=256, gt=0)
    base_url: str | None = None
    """Addresses up to and with `/v1`, joined by commas."""
    api_key: SecretStr | None = None
    api_key_env: str = "VLLM_API_KEY"
    """Environment variable that holds the key, if the servers want one."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest time for a call with all its attempts, seconds."""
    idle_timeout_s: float = Field(default=120.0, gt=0)
    """Longest silence of a server in one attempt, seconds."""
    max_retries: int = Field(default=4, ge=0)
    token_ids: bool = True
    """Ask for token ids and log-probs, and refuse replies without them."""
    items_per_call: int = Field(default=8, gt=0)
    context_tokens: int | None = Field(default=None, gt=0)

    _endpoints: list[Endpoint] = PrivateAttr()
    _lane: Lane = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        secret = self.api_key.get_secret_value() if self.api_key else None
        key = find_key(secret, self.api_key_env)
        self._endpoints = [
            Endpoint(
                model=self.model,
                address=address.strip().rstrip("/"),
                key=key,
                key_place="api_key" if secret else f"the environment variable {self.api_key_env}",
                timeout_s=self.idle_timeout_s,
                max_retries=self.max_retries,
                max_concurrency=self.max_concurrency,
            )
            for address in (self.base_url or "").split(",")
        ]
        self._lane = Lane({"authorization": f"Bearer {key}"} if key else {}, self.idle_timeout_s)

    @property
    def capabilities(self) -> Capabilities:
        """What vLLM can do, unless `token_ids` is off."""
        return Capabilities(
            json_schema=True,
            token_ids=self.token_ids,
            logprobs=self.token_ids,
            top_logprobs=True,
            items_per_call=self.items_per_call,
            context_tokens=self.context_tokens,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lane.aclose()

    @property
    def _llm_type(self) -> str:
        return "quillgraph-vllm-server"

    async def _complete(self, request: ChatRequest) -> Completion:
        body = self._body(request)
        endpoint = self._endpoints[0]
        for attempt in range(self.max_retries + 1):
            reply: Reply | None = None
            try:
                reply = await self._lane.send(endpoint, "/chat/completions", body)
                if reply.status >= 400:
                    raise endpoint.status_meaning(reply.status, reply.body.decode())
                return completion_of(reply.body, request, endpoint, token_ids=self.token_ids)
            except BackendError as error:
                if not error.retryable or attempt == self.max_retries:
                    raise
            await asyncio.sleep(random.uniform(0.25, 0.5) * 2**attempt)
        raise AssertionError

    def _body(self, request: ChatRequest) -> bytes:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        if self.token_ids:
            body |= {"return_token_ids": True, "logprobs": True}
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.json_schema is not None:
            body["response_format"] = schema_format(request.json_schema)
        return json.dumps(body).encode()
