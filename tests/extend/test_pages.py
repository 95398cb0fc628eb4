"""The code of the pages on checks, languages, roles and judges runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "extend"


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["check-and-language.md", "role.md", "judge.md"])
def test_every_block_of_a_page_runs(page: str, tmp_path: Path) -> None:
    for number, prompt in enumerate(blocks(page, "markdown")):
        assert number == 0
        (tmp_path / "titling.md").write_text(prompt, "utf-8")
    program = "\n".join(blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", ["check", "language"])
def test_the_page_names_the_entry_point_group_of_its_example(example: str) -> None:
    project = PAGES.parents[1] / "examples" / "extend" / example / "pyproject.toml"
    group = re.search(r"entry-points\.(\"quillgraph\.\w+\")", project.read_text("utf-8"))
    assert group
    assert any(group[1] in block for block in blocks("check-and-language.md", "toml"))
