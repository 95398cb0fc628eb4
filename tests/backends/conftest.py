import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from quillgraph.backends.servers.vllm import VllmServerChat
from quillgraph.backends.transformers.chat import TransformersChat


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
