"""Every example runs as its header says, without a model."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints_criteria(example: Path) -> None:
    command = [sys.executable, "-P", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    storyline, *criteria = done.stdout.strip().splitlines()
    assert storyline
    assert len(criteria) >= 5
    assert all(line.startswith("- ") for line in criteria)
