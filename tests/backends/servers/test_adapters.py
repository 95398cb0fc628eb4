"""A new adapter is up on all servers or on none, and calls keep the weights they began with."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from langchain_core.messages import BaseMessage

from quillgraph.backends.errors import (
    BackendError,
    ConfigError,
    Refused,
    ServerFailed,
    Unreachable,
)
from quillgraph.backends.messages.trace import trace_of
from quillgraph.backends.servers.vllm import VllmServerChat


class Lora:
    """What a vLLM server does about adapters; its replies are the name of the model asked for."""

    def __init__(self) -> None:
        self.adapters: dict[str, str] = {}
        self.names: list[str] = []
        self.fault = ""
        self.hold = asyncio.Event()
        self.hold.set()

    @property
    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/load_lora_adapter", self.load)
        app.router.add_post("/v1/unload_lora_adapter", self.unload)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/health", self.health)
        return app

    async def health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body.get("load_inplace") is None
        if body["lora_name"] in self.adapters:
            message = "has already been loaded. If you want to, set 'load_inplace'"
            return web.json_response({"error": {"message": message}}, status=400)
        if self.fault == "hang":
            await asyncio.sleep(5)
        if self.fault == "rank":
            message = "LoRA rank 64 is greater than max_lora_rank 8."
            return web.json_response({"error": {"message": message}}, status=400)
        if self.fault == "absent":
            return web.json_response({"error": {"message": "not found"}}, status=404)
        if self.fault != "lie":
            self.adapters[body["lora_name"]] = body["lora_path"]
        return web.Response(text="Success")

    async def unload(self, request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        if self.adapters.pop(name, None) is None:
            return web.json_response({"error": {"message": f"no {name}"}}, status=404)
        return web.Response(text="Success")

    async def models(self, request: web.Request) -> web.Response:
        cards = [{"id": "m", "root": "m"}]
        cards += [{"id": name, "root": path} for name, path in self.adapters.items()]
        return web.json_response({"object": "list", "data": cards})

    async def complete(self, request: web.Request) -> web.Response:
        name = (await request.json())["model"]
        self.names.append(name)
        await self.hold.wait()
        choice = {
            "message": {"content": name},
            "finish_reason": "stop",
            "token_ids": [1],
            "logprobs": {"content": [{"token": name, "logprob": -0.5}]},
        }
        return web.json_response({"model": name, "choices": [choice], "prompt_token_ids": [2]})


@asynccontextmanager
async def served(*servers: Lora, **fields: Any) -> AsyncIterator[VllmServerChat]:
    running = [TestServer(server.app) for server in servers]
    for each in running:
        await each.start_server()
    urls = ",".join(str(each.make_url("/v1")) for each in running)
    options = {"adapters": True, "max_retries": 0, **fields}
    model = VllmServerChat(model="m", base_url=urls, **options)
    try:
        yield model
    finally:
        await model.aclose()
        for each in running:
            await each.close()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def version_of(message: BaseMessage) -> str:
    trace = trace_of(message)
    assert trace is not None
    return trace.weights_version


async def test_after_a_load_every_call_names_the_adapter_and_its_version(adapter: Path) -> None:
    servers = Lora(), Lora()
    async with served(*servers) as model:
        assert model.capabilities.adapters
        assert version_of(await model.ainvoke("hi")) == "base"
        await model.load_adapter(adapter, "step-1")
        replies = [await model.ainvoke("hi") for _ in range(4)]
        assert {version_of(reply) for reply in replies} == {"step-1"}
        assert [server.adapters for server in servers] == [{"step-1": str(adapter)}] * 2
        await model.load_adapter(None, "base")
        assert (await model.ainvoke("hi")).content == "m"
        assert [server.adapters for server in servers] == [{}, {}]  # nobody uses it any more


async def test_a_second_process_takes_up_what_the_first_has_loaded(adapter: Path) -> None:
    server = Lora()
    async with served(server) as first:
        assert first.is_shared
        await first.load_adapter(adapter, "step-1")
        second = VllmServerChat(model="m", base_url=first.base_url, adapters=True, max_retries=0)
        second.take_up_adapter("step-1")
        assert version_of(await second.ainvoke("hi")) == "step-1"
        await first.load_adapter(adapter, "step-2")
        second.take_up_adapter("step-2")
        assert version_of(await second.ainvoke("hi")) == "step-2"
        await second.aclose()
        assert list(server.adapters) == ["step-2"]


async def test_after_closing_a_version_may_be_loaded_again(adapter: Path) -> None:
    server = Lora()
    async with served(server) as model:
        await model.load_adapter(adapter, "step-1")
        await model.aclose()
        await model.start()
        await model.load_adapter(adapter, "step-1")
        assert version_of(await model.ainvoke("hi")) == "step-1"


async def test_calls_in_flight_keep_the_weights_that_they_began_with(adapter: Path) -> None:
    server = Lora()
    async with served(server) as model:
        await model.load_adapter(adapter, "step-1")
        server.hold.clear()
        early = asyncio.create_task(model.ainvoke("hi"))
        await until(lambda: server.names == ["step-1"])
        await model.load_adapter(adapter, "step-2")
        late = asyncio.create_task(model.ainvoke("hi"))
        await until(lambda: server.names == ["step-1", "step-2"])
        assert sorted(server.adapters) == ["step-1", "step-2"]  # one is still in use
        server.hold.set()
        assert [version_of(await call) for call in (early, late)] == ["step-1", "step-2"]
        await model.load_adapter(adapter, "step-3")
        assert sorted(server.adapters) == ["step-3"]


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("rank", BackendError, "rank 64 is greater"),
        ("lie", ServerFailed, "lists None under this name"),
        ("hang", Unreachable, r"not up on all 2 servers after 0\.5 s"),
        ("absent", ConfigError, "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
    ],
)
async def test_if_one_server_does_not_take_it_none_has_it(
    adapter: Path, fault: str, kind: type[Exception], message: str
) -> None:
    good, bad = Lora(), Lora()
    async with served(good, bad, adapter_timeout_s=0.5) as model:
        await model.load_adapter(adapter, "step-1")
        bad.fault = fault
        with pytest.raises(kind, match=message):
            await model.load_adapter(adapter, "step-2")
        assert list(good.adapters) == list(bad.adapters) == ["step-1"]
        assert version_of(await model.ainvoke("hi")) == "step-1"


async def test_what_an_earlier_run_has_left_under_the_name_is_replaced(adapter: Path) -> None:
    server = Lora()
    server.adapters["step-1"] = "/of/an/earlier/run"
    async with served(server) as model:
        await model.load_adapter(adapter, "step-1")
        assert server.adapters == {"step-1": str(adapter)}


async def test_a_server_that_came_back_without_the_adapter_is_not_well(adapter: Path) -> None:
    server = Lora()
    async with served(server) as model:
        await model.load_adapter(adapter, "step-1")
        assert model._fleet is not None
        (endpoint,) = model._fleet.endpoints
        assert await model._fleet.is_well(endpoint)
        server.adapters.clear()  # as after a new start
        assert not await model._fleet.is_well(endpoint)
        with pytest.raises(Refused, match="serves no model 'step-1'"):
            await model.start()


async def test_what_does_not_fit_together_is_refused(adapter: Path, tmp_path: Path) -> None:
    server = Lora()
    async with served(server) as model:
        for path, version, message in [
            (adapter, "base", "version of its own"),
            (None, "step-1", "version of its own"),
            (adapter, "m", "name of the bare model"),
            (tmp_path, "step-1", r"cannot read \S+adapter_config\.json"),
        ]:
            with pytest.raises(ConfigError, match=message):
                await model.load_adapter(path, version)
        await model.load_adapter(adapter, "step-1")
        with pytest.raises(ConfigError, match="'step-1' is on the servers already"):
            await model.load_adapter(adapter, "step-1")
    async with served(server, adapters=False) as model:
        assert not model.capabilities.adapters
        with pytest.raises(ConfigError, match="swaps no adapters"):
            await model.load_adapter(adapter, "step-1")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # what is waited for is a request on its way
            await asyncio.sleep(0.01)
