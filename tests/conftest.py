import os
from pathlib import Path

import pytest

from quillgraph.backends.models import pull

# read when LangGraph is imported: checkpoints then hold only what the graphs' states declare
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The built-in model, fetched once and kept in the user's cache."""
    return pull("smollm2-135m")
