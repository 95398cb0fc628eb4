"""An adapter is read as PEFT reads it, or refused by the field, on every engine."""

import asyncio
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.adapter_cases import REFUSED, SERVED, AdapterCase
from quillgraph.backends.contract.prompts import ASK
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.trace import TokenTrace, trace_of
from quillgraph.backends.weights.adapter import check_adapter, check_remote_adapter
from quillgraph.backends.weights.adapter_config import CONFIG

pytest.importorskip("peft")

pytestmark = pytest.mark.model

T = 0.8

BOUNDS = {
    "transformers_chat": (1e-4, 1e-3),
    "vllm_chat": (0.1, 0.5),
    "vllm_server_chat": (0.1, 0.5),
}
"""Most that log-probs may differ from PEFT's in float32, on average and at one token: the first
engine computes in float32, the others in bfloat16."""


@pytest.fixture(scope="module")
def written(
    smollm2_folder: Path,
    save_adapter: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """PEFT's own folder of a case."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    cases = {case.name: case for case in SERVED}

    @cache
    def write(name: str) -> Path:
        case, folder = cases[name], tmp_path_factory.mktemp("case")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied weights and saved embeddings
            save_adapter(model, folder, seed=3, **case.settings)
        configure(folder, **case.afterwards)
        return folder

    return write


def configure(adapter: Path, **changes: Any) -> None:
    path = adapter / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="module", params=list(BOUNDS))
def chat(request: pytest.FixtureRequest) -> Iterator[ChatBackend]:
    """An engine that other tests get back without an adapter."""
    backend: ChatBackend = request.getfixturevalue(request.param)
    yield backend
    asyncio.run(backend.load_adapter(None, "base"))


def log_probs(model: Any, trace: TokenTrace) -> list[float]:
    """What a plain forward pass in float32 gives the tokens of a trace."""
    import torch

    ids = torch.tensor([trace.prompt_ids + trace.completion_ids])
    with torch.no_grad():
        scores_TV = model(input_ids=ids).logits[0, len(trace.prompt_ids) - 1 : -1] / T
    chosen_T1 = torch.tensor(trace.completion_ids).unsqueeze(1)
    values: list[float] = scores_TV.log_softmax(-1).gather(1, chosen_T1).squeeze(1).tolist()
    return values


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.name)
async def test_an_adapter_gives_the_log_probs_that_peft_gives(
    chat: ChatBackend,
    request: pytest.FixtureRequest,
    written: Callable[[str], Path],
    smollm2_folder: Path,
    case: AdapterCase,
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    mean, most = BOUNDS[request.node.callspec.params["chat"]]
    folder = written(case.name)
    await chat.load_adapter(folder, f"{case.name} {request.node.name}")
    trace = trace_of(await chat.ainvoke(ASK, temperature=T, seed=5, max_tokens=24))
    assert trace is not None
    assert trace.logprobs is not None
    assert len(trace.completion_ids) > 4
    model = AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    bare = log_probs(model, trace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = log_probs(PeftModel.from_pretrained(model, folder).eval(), trace)
    off = [abs(own - other) for own, other in zip(trace.logprobs, expected, strict=True)]
    assert fmean(off) < mean
    assert max(off) < most
    # and the adapter is at work
    effect = fmean(abs(one - other) for one, other in zip(expected, bare, strict=True))
    assert effect > 3 * fmean(off)


async def test_what_is_more_than_matrices_is_refused_by_its_field_and_changes_nothing(
    chat: ChatBackend, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    await chat.load_adapter(None, "base")
    for number, change in enumerate(REFUSED):
        folder = tmp_path / str(number)
        shutil.copytree(adapters[0], folder)
        configure(folder, **change)
        (name, value), *_ = change.items()
        with pytest.raises(ConfigError) as refusal:
            await chat.load_adapter(folder, f"refused-{number}")
        assert name in str(refusal.value)
        assert repr(value) in str(refusal.value)
        assert re.search("merge it into the model|path_initial_model", str(refusal.value))
    trace = trace_of(await chat.ainvoke(ASK, max_tokens=2))
    assert trace is not None
    assert trace.weights_version == "base"


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"lora_bias": True},
        {"bias": "lora_only"},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [5, 6]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_peft_itself_writes_of_it_is_refused(
    smollm2_folder: Path,
    save_adapter: Callable[..., Path],
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_adapter(model, tmp_path, seed=1, **settings)
    with pytest.raises(ConfigError, match=next(iter(settings))):
        check_adapter(tmp_path, str(smollm2_folder))


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.name)
def test_a_server_whose_model_is_not_here_gets_what_vllm_reads_as_peft_does(
    written: Callable[[str], Path], case: AdapterCase
) -> None:
    folder = written(case.name)
    if case.at_an_address:
        assert check_remote_adapter(folder) == folder.resolve()
    else:
        with pytest.raises(ConfigError, match=r"(rank|alpha)_pattern=.*served_adapter"):
            check_remote_adapter(folder)
