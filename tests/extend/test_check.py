"""A check of another package, by its entry point."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]

# sealed where the example is installed; the hash was made there and is pinned by hand
STORED: dict[str, Any] = {
    "version": 1,
    "request_hash": "0" * 64,
    "language": "en",
    "genre": "poem",
    "core": {"category_id": "k1", "storyline": "The lines spell a word."},
    "criteria": [
        {
            "id": "h1",
            "name": "The lines spell “SEA”",
            "description": "The text keeps to this demand: the lines spell “SEA”.",
            "kind": "hard",
            "tier": "essential",
            "weight": 1.0,
            "levels": {},
            "category_id": None,
            "evidence": ["i1"],
            "check": {"type": "acrostic", "word": "SEA"},
        }
    ],
    "stats": {},
    "sha256": "1e38665a6eb87fda24bbaf508672a1b219ded44ab61eb465e37c7ab347f075a1",
}
INSTALLED = f"""
import asyncio, json, sys
from quillgraph.agents import Check, CriteriaSet, WritingTask, reward
from quillgraph.agents import find_constraints, segment, writing_task
from quillgraph.agents.checks import language_for
from quillgraph.graphs.prebuilt.judge import judge_text

answers = {{}}
find_constraints(segment(writing_task("Write a poem of at most 40 words.")))
Check.model_validate({{"type": "word_count", "max": 3}})
answers["loaded early"] = "quill_acrostic" in sys.modules

stored = json.loads({json.dumps(STORED)!r})
criteria = CriteriaSet.model_validate_json(json.dumps(stored))
answers["read and written"] = json.loads(criteria.model_dump_json())
answers["rewards"] = []
task = WritingTask(request="An acrostic on SEA", language="en")
for line in ("alone with the moon", "quiet under the moon"):
    text = "Salt on the stone\\nevery wave at night\\n" + line
    submission = {{"task": task, "criteria_set": criteria, "text": text}}
    judgement = asyncio.run(judge_text(submission, None))
    value = reward(judgement, criteria, text).value
    answers["rewards"].append([[each.reason for each in judgement.violations], value])

one, same, other = (
    Check.model_validate({{"type": "acrostic", "word": word}}) for word in ("sea", "sea", "air")
)
answers["merged"] = [one.merge(same) == one, one.merge(other) is None]
answers["names"] = [one.name_in(language_for(code).wording) for code in ("en", "zh", "fr")]
answers["description"] = one.description_in(language_for("en").wording)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(program: Program) -> dict[str, Any]:
    done = program(INSTALLED, "check")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_a_criteria_set_that_holds_a_foreign_check_loads_and_keeps_its_hash(
    answers: dict[str, Any],
) -> None:
    assert answers["read and written"] == STORED


def test_a_foreign_check_decides_and_gives_a_reward_by_its_nearness(
    answers: dict[str, Any],
) -> None:
    kept, missed = answers["rewards"]
    # .95 · 1 + .05
    assert kept == [[], pytest.approx(1.0)]
    # two letters of three: .95 · (.5 · 2/3) + .05
    assert missed == [
        ["expected lines that spell 'SEA', got 'seq'"],
        pytest.approx(0.95 / 3 + 0.05),
    ]


def test_two_demands_for_acrostics_stand_together_only_if_they_are_one(
    answers: dict[str, Any],
) -> None:
    assert answers["merged"] == [True, True]


def test_a_foreign_check_words_itself(answers: dict[str, Any]) -> None:
    assert answers["names"] == [
        "The lines spell “sea”",
        "每行首字连成“sea”",
        "The lines spell “sea”",
    ]
    assert answers["description"] == ("The text keeps to this demand: the lines spell “sea”.")


def test_nothing_of_a_package_is_imported_until_its_check_is_read(answers: dict[str, Any]) -> None:
    assert answers["loaded early"] is False


ABSENT = f"""
from quillgraph.agents import CriteriaSet
CriteriaSet.model_validate_json({json.dumps(STORED)!r})
"""


def test_without_the_package_the_error_names_the_kind_and_the_group(program: Program) -> None:
    done = program(ABSENT)
    assert done.returncode == 1
    assert "unknown check 'acrostic'" in done.stderr
    assert "'quillgraph.checks'" in done.stderr


BROKEN = """
from quillgraph.agents import Check
for kind in ("lost", "swapped"):
    try:
        Check.model_validate({"type": kind})
    except ValueError as error:
        print(error)
"""


def test_a_package_whose_check_cannot_be_used_is_named(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "lost_check.py").write_text("raise KeyError('a file')\n", "utf-8")
    swapped = "from quillgraph.agents.checks import WordCount as Swapped\n"
    (folder / "swapped_check.py").write_text(swapped, "utf-8")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "broken-checks"\nversion = "1"\n'
        '[project.entry-points."quillgraph.checks"]\n'
        'lost = "lost_check:Lost"\nswapped = "swapped_check:Swapped"\n',
        "utf-8",
    )
    done = program(BROKEN, "broken", folder=tmp_path)
    assert (
        "check 'lost' of broken-checks cannot be loaded from lost_check:Lost: KeyError"
    ) in done.stdout
    assert (
        "expected a check named 'swapped' at swapped_check:Swapped, got 'word_count'; "
        "mend the entry point of broken-checks"
    ) in done.stdout
