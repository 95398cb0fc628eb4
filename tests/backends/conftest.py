import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from quillgraph.backends.transformers_local import TransformersChat


@pytest.fixture(scope="session")
def transformers_chat(smollm2_folder: Path) -> Iterator[TransformersChat]:
    """One engine for the whole test session."""
    pytest.importorskip("torch")
    chat = TransformersChat(model=str(smollm2_folder), max_tokens=24, max_concurrency=4)
    yield chat
    asyncio.run(chat.aclose())
