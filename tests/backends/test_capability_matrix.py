"""The table of backends in the docs is what the contract suite tests."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKER = Path(__file__).with_name("capability_matrix.py")


def matrix() -> str:
    command = [sys.executable, "-P", str(MAKER)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return process.stdout


def test_the_table_of_backends_is_up_to_date() -> None:
    text = matrix()
    assert (ROOT / "docs" / "backends.md").read_text(encoding="utf-8") == text, (
        f"run: .venv/bin/python {MAKER.relative_to(ROOT)} > docs/backends.md"
    )
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    columns = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    # the issue of this layer asks for 25 behaviours on every backend
    full = [row for row in columns if len(row) == 7 and all(cell == "✓" for cell in row[1:])]
    assert len(full) >= 25
