import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.transformers_local import TransformersChat
from quillgraph.backends.vllm_server import VllmServerChat


@pytest.fixture(scope="session")
def transformers_chat(tool_folder: Path) -> Iterator[TransformersChat]:
    """One engine for the whole test session."""
    pytest.importorskip("torch")
    chat = TransformersChat(model=str(tool_folder), max_tokens=24, max_concurrency=4)
    yield chat
    asyncio.run(chat.aclose())


@pytest.fixture(scope="session")
def vllm_server_chat(tool_folder: Path) -> Iterator[VllmServerChat]:
    """One server of our own for the whole test session: it takes a minute to start."""
    pytest.importorskip("vllm")
    chat = VllmServerChat(
        model=str(tool_folder),
        max_model_len=2048,
        max_tokens=24,
        max_concurrency=4,
        max_lora_rank=8,
    )
    asyncio.run(chat.start())
    yield chat
    asyncio.run(chat.aclose())


SaveAdapter = Callable[..., Path]


@pytest.fixture(scope="session")
def save_adapter() -> SaveAdapter:
    """Has PEFT write an adapter of random matrices for a model, which stays as it was."""
    return _save_adapter


def _save_adapter(model: Any, folder: Path, *, seed: int, **settings: Any) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    chosen = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "up_proj"]}
    adapted = get_peft_model(model, LoraConfig(**{**chosen, **settings}))
    for name, parameter in adapted.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)  # PEFT begins with zeros
    adapted.save_pretrained(folder)
    adapted.unload()
    return folder


@pytest.fixture(scope="session")
def adapters(
    smollm2_folder: Path, save_adapter: SaveAdapter, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two adapters of the built-in model."""
    pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder)
    folder = tmp_path_factory.mktemp("adapters")
    first = save_adapter(model, folder / "one", seed=1)
    return first, save_adapter(model, folder / "two", seed=2)
