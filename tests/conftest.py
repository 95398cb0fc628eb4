from pathlib import Path

import pytest

from quillgraph.backends.models import pull


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The built-in model, fetched once and kept in the user's cache."""
    return pull("smollm2-135m")
