"""README, the pages and the files at the root are short, and what they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "design" / "decisions").glob("*.md"))
ROOT_FILES = [ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "PAPERS")]
RECIPES = (ROOT / "examples").rglob("README.md")
PAGES = sorted([*ROOT_FILES, *(ROOT / "docs").rglob("*.md"), *RECIPES])
CODE = sorted(
    file
    for folder in ("backends", "agents", "graphs", "rl", "evals", "cli", "tests", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
)
MOST_LINES_OF_A_PARAGRAPH = 5


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> list[str]:
    """The paragraphs of a page, without code, tables, headings, lists and pictures."""
    text = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    parts = re.split(r"\n\s*\n", text)
    return [each.strip() for each in parts if re.match(r"[^|#\-*<!\[\d\s]|\*\*", each.strip())]


def test_the_readme_has_at_most_120_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_contributing_has_at_most_60_lines() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_paragraph_is_longer_than_five_lines(page: Path) -> None:
    long = [each for each in _prose(page) if each.count("\n") + 1 > MOST_LINES_OF_A_PARAGRAPH]
    assert long == []
    assert [each for each in _prose(page) if len(each) > 130 * MOST_LINES_OF_A_PARAGRAPH] == []


@pytest.mark.parametrize("page", [*ROOT_FILES, ROOT / "LOG.md"], ids=_name)
def test_links_of_the_root_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    assert [each for each in targets if not (ROOT / each).exists()] == []


def test_paths_that_pages_name_are_there() -> None:
    named = re.compile(
        r"`((?:api|backends|agents|graphs|rl|evals|cli|tests|benchmarks|examples)/[\w./-]*\w)`"
    )
    lacking = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        for path in named.findall(page.read_text("utf-8"))
        if not (ROOT / path).exists()
    }
    assert lacking == set()


def test_sections_of_the_algorithm_that_code_refers_to_are_there() -> None:
    text = (ROOT / "ALGORITHM.md").read_text("utf-8")
    sections = set(re.findall(r"^#+ (\d+(?:\.\d+)?)", text, re.MULTILINE))
    refers = re.compile(r"`ALGORITHM\.md`\s+(\d+(?:\.\d+)?)(?:\.(\d+))?(?:,? step (\d+))?")
    lacking = set()
    for file in CODE:
        for section, item, step in refers.findall(file.read_text("utf-8")):
            body = re.search(rf"^#+ {re.escape(section)}\b(.*?)(?=^#|\Z)", text, re.DOTALL | re.M)
            numbered = set(re.findall(r"^\s*(\d+)\. ", body[1], re.M)) if body else set()
            number = item or step
            if section not in sections or (number and number not in numbered):
                lacking.add(f"{file.relative_to(ROOT)}: {section}.{number}")
    assert lacking == set()


@pytest.mark.parametrize("page", DECISIONS, ids=_name)
def test_a_decision_says_why_what_and_how_we_would_notice(page: Path) -> None:
    parts = re.findall(r"^\*\*(.+?)\*\*", page.read_text("utf-8"), re.MULTILINE)
    assert parts == ["Why.", "Chosen.", "Not taken.", "It is wrong if"]
