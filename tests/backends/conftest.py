import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from quillgraph.backends.transformers_local import TransformersChat
from quillgraph.backends.vllm_local import VllmChat


@pytest.fixture(scope="session")
def transformers_chat(smollm2_folder: Path) -> Iterator[TransformersChat]:
    """One engine for the whole test session."""
    pytest.importorskip("torch")
    chat = TransformersChat(model=str(smollm2_folder), max_tokens=24, max_concurrency=4)
    yield chat
    asyncio.run(chat.aclose())


@pytest.fixture(scope="session")
def vllm_chat(smollm2_folder: Path) -> Iterator[VllmChat]:
    """One engine for the whole test session: it takes half a minute to start."""
    pytest.importorskip("vllm")
    chat = VllmChat(model=str(smollm2_folder), max_model_len=2048, max_tokens=24, max_concurrency=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's own imports
        asyncio.run(chat.start())
    yield chat
    asyncio.run(chat.aclose())
