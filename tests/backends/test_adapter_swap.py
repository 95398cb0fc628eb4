"""Adapters that are swapped while SmolLM2 runs, on both in-process engines."""

from collections.abc import AsyncIterator
from pathlib import Path
from statistics import fmean

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.traces import TokenTrace, trace_of

pytestmark = pytest.mark.model

ASK = "Write a long story about the sea."

BOUNDS = {"transformers_chat": (1e-4, 1e-3), "vllm_chat": (0.1, 0.5)}
"""Most that log-probs may differ from a float32 forward, on average and at one token. Measured:
LOG.md 2026-11-25."""


@pytest.fixture(params=["transformers_chat", "vllm_chat"])
async def chat(request: pytest.FixtureRequest) -> AsyncIterator[ChatBackend]:
    """An engine that other tests get back without an adapter."""
    backend: ChatBackend = request.getfixturevalue(request.param)
    yield backend
    await backend.load_adapter(None, "base")


async def traced(chat: ChatBackend, seed: int = 5, tokens: int = 24) -> TokenTrace:
    trace = trace_of(await chat.ainvoke(ASK, temperature=0.8, seed=seed, max_tokens=tokens))
    assert trace is not None
    return trace


def forward(folder: Path, adapter: Path | None, trace: TokenTrace) -> list[float]:
    """Log-probs of a trace's completion by a plain float32 forward pass at temperature 0.8."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    ids = torch.tensor([trace.prompt_ids + trace.completion_ids])
    with torch.no_grad():
        scores_TV = model(input_ids=ids).logits[0, len(trace.prompt_ids) - 1 : -1] / 0.8
    chosen_T1 = torch.tensor(trace.completion_ids).unsqueeze(1)
    chosen: list[float] = scores_TV.log_softmax(-1).gather(1, chosen_T1).squeeze(1).tolist()
    return chosen


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
        assert trace.logprobs is not None
        own = list(trace.logprobs)
        apart = [abs(a - b) for a, b in zip(own, forward(smollm2_folder, path, trace), strict=True)]
        print(request.node.name, version, fmean(apart), max(apart))
        assert fmean(apart) < mean
        assert max(apart) < most
        # and not those of the other weights
        other = forward(smollm2_folder, None if path else adapters[0], trace)
        others = [abs(a - b) for a, b in zip(own, other, strict=True)]
        print("   other", fmean(others), max(others))
        assert fmean(others) > 2 * mean
