"""Adapters that are swapped while SmolLM2 runs, on both in-process engines."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.trace import TokenTrace, trace_of
from quillgraph.backends.vllm.chat import VllmChat

pytestmark = pytest.mark.model

ASK = "Write a long story about the sea."
LONG = "The sea took the harbour lamp on a night without wind, and kept it burning. " * 20
T = 0.8

BOUNDS = {"transformers_chat": (1e-4, 1e-3), "vllm_chat": (0.1, 0.5)}
"""Most that log-probs may differ from a float32 forward pass, on average and at one token: the
one engine computes in float32, the other in bfloat16."""


@pytest.fixture(params=list(BOUNDS))
def chat(request: pytest.FixtureRequest) -> Iterator[ChatBackend]:
    """An engine that other tests get back without an adapter."""
    backend: ChatBackend = request.getfixturevalue(request.param)
    yield backend
    asyncio.run(backend.load_adapter(None, "base"))


async def traced(chat: ChatBackend, ask: str = ASK, tokens: int = 24) -> TokenTrace:
    trace = trace_of(await chat.ainvoke(ask, temperature=T, seed=5, max_tokens=tokens))
    assert trace is not None
    return trace


@lru_cache(maxsize=3)
def plain(folder: Path, adapter: Path | None) -> Any:
    """The model in float32, with an adapter or without."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model if adapter is None else PeftModel.from_pretrained(model, adapter)


def apart(trace: TokenTrace, folder: Path, adapter: Path | None) -> list[float]:
    """How far a trace's log-probs lie from those of a plain float32 forward pass."""
    import torch

    model = plain(folder, adapter)
    ids = torch.tensor([trace.prompt_ids + trace.completion_ids])
    with torch.no_grad():
        scores_TV = model(input_ids=ids).logits[0, len(trace.prompt_ids) - 1 : -1] / T
    chosen_T1 = torch.tensor(trace.completion_ids).unsqueeze(1)
    expected: Sequence[float] = scores_TV.log_softmax(-1).gather(1, chosen_T1).squeeze(1).tolist()
    assert trace.logprobs is not None
    return [abs(own - other) for own, other in zip(trace.logprobs, expected, strict=True)]


async def test_log_probs_are_those_of_the_weights_that_the_trace_names(
    chat: ChatBackend,
    request: pytest.FixtureRequest,
    smollm2_folder: Path,
    adapters: tuple[Path, Path],
) -> None:
    mean, most = BOUNDS[request.node.callspec.params["chat"]]
    steps = [("base", None), ("one", adapters[0]), ("two", adapters[1]), ("base", None)]
    for version, path in steps:
        await chat.load_adapter(path, version)
        trace = await traced(chat, tokens=64)
        assert trace.weights_version == version
        off = apart(trace, smollm2_folder, path)
        assert fmean(off) < mean
        assert max(off) < most
        # and they are not those of other weights
        others = apart(trace, smollm2_folder, None if path else adapters[0])
        assert fmean(others) > 2 * fmean(off)


async def test_calls_in_flight_keep_the_weights_that_they_began_with(
    chat: ChatBackend,
    request: pytest.FixtureRequest,
    smollm2_folder: Path,
    adapters: tuple[Path, Path],
) -> None:
    mean, _ = BOUNDS[request.node.callspec.params["chat"]]
    await chat.load_adapter(adapters[0], "one")
    long = asyncio.create_task(traced(chat, tokens=160))
    await asyncio.sleep(0.2)  # the first step of a call hands it to the engine
    await chat.load_adapter(adapters[1], "two")
    after = await traced(chat)
    before = await long
    assert (before.weights_version, after.weights_version) == ("one", "two")
    assert fmean(apart(before, smollm2_folder, adapters[0])) < mean
    assert fmean(apart(after, smollm2_folder, adapters[1])) < mean


async def test_no_prefix_is_kept_from_other_weights(
    vllm_chat: VllmChat, smollm2_folder: Path, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    async def cached() -> int:
        reply = await vllm_chat.ainvoke(LONG, max_tokens=2)
        assert reply.usage_metadata is not None
        return reply.usage_metadata["input_token_details"]["cache_read"]

    folder = tmp_path / "latest"
    try:
        shutil.copytree(adapters[0], folder)
        await vllm_chat.load_adapter(folder, "latest")
        assert await cached() == 0
        assert await cached() > 0
        # the same version from the same folder, but other weights in it, as a trainer may do
        shutil.copytree(adapters[1], folder, dirs_exist_ok=True)
        await vllm_chat.load_adapter(folder, "latest")
        assert await cached() == 0
        trace = await traced(vllm_chat, ask=LONG)
        assert fmean(apart(trace, smollm2_folder, adapters[1])) < BOUNDS["vllm_chat"][0]
    finally:
        await vllm_chat.load_adapter(None, "base")


async def test_a_rank_above_the_engines_changes_nothing(
    vllm_chat: VllmChat, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "wide"
    shutil.copytree(adapters[0], folder)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"r": 8', '"r": 64'))
    with pytest.raises(ConfigError, match="has rank 64, and the engine was started for 8 at most"):
        await vllm_chat.load_adapter(folder, "wide")
    assert (await traced(vllm_chat)).weights_version == "base"


def test_an_engine_that_was_started_without_adapters_takes_none(smollm2_folder: Path) -> None:
    chat = VllmChat(model=str(smollm2_folder))
    assert not chat.capabilities.adapters
    with pytest.raises(ConfigError, match=r"VllmChat swaps no adapters.*max_lora_rank=16"):
        asyncio.run(chat.load_adapter(None, "base"))
