"""`quillgraph eval criteria`: automatic criteria held against people's."""

import json
from pathlib import Path
from typing import Any

import pytest

STORY, TOAST = "A bedtime story about a lighthouse in a storm.", "A toast for two rival bakers."
ROWS: list[dict[str, Any]] = [
    {
        "id": "r1",
        "request": STORY,
        "criteria": [
            {"name": "Storm", "description": "The storm is heard and never threatens."},
            {"name": "Calm", "description": "The story slows down to sleep."},
        ],
    },
    {
        "id": "r2",
        "request": TOAST,
        "criteria": [{"name": "Rivalry", "description": "The rivalry is told with warmth."}],
    },
    {"id": "t1", "request": STORY, "text": "The lamp turns. The storm sings. Sleep.", "score": 8},
    {"id": "t2", "request": STORY, "text": "It was a dark and stormy night.", "score": 3},
    {
        "id": "p1",
        "request": TOAST,
        "left": "To the bread that brought us here, and the flour on both your sleeves.",
        "right": "Congratulations to you both on this very happy and special day.",
        "preferred": "left",
    },
]


def data(tmp_path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def words(path: Path, spec: str, *more: object) -> list[str]:
    given = ("eval", "criteria", "--data", path, "--backend", spec, "--drafts", 1, *more)
    return [str(word) for word in given]


def test_it(quillgraph: Any, spec: str, tmp_path: Path) -> None:
    done = quillgraph(
        *words(data(tmp_path), spec, "--out", "run", "--plot", "p.png", "--runs", 2, "--without", "axial")
    )
    print(done.stdout)
    print(done.stderr)
    print(Path("run/report.md").read_text())
    assert done.status == 0, done.stderr
    import shutil
    shutil.copy("p.png", "/tmp/p.png")
    assert 0
