"""Packages of others, installed as far as Python sees: a folder with modules and dist-info."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "extend"
Program = Callable[..., subprocess.CompletedProcess[str]]


def install(project: Path, into: Path) -> None:
    """Copy a project's modules, and write the entry points that its pyproject declares."""
    settings = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copytree(project, into, dirs_exist_ok=True)
    info = into / f"{settings['name'].replace('-', '_')}-{settings['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {settings['name']}\nVersion: {settings['version']}\n"
    (info / "METADATA").write_text(head, "utf-8")
    groups = settings["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
        for group, points in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Runs a program in a process of its own that sees the named examples as installed."""

    def run(code: str, *examples: str, folder: Path = EXAMPLES) -> subprocess.CompletedProcess[str]:
        site = tmp_path_factory.mktemp("site")
        for example in examples:
            install(folder / example, site / example)
        places = [str(site / example) for example in examples]
        return subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
