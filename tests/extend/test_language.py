"""A language of another package, by its entry point."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]

REQUESTS = {
    "german": "Schreibe eine kurze Geschichte über den Nebel an der Küste. "
    "Sie soll höchstens 200 Wörter haben und ohne das Wort „Meer“ auskommen.",
    "told": "Die Erzählerin hat 300 Wörter in ihrem Heft gezählt und schreibt nun einen Brief.",
    "part": "Schreibe ein Lied über den Hafen, jede Strophe hat genau vier Zeilen.",
    "thousand": "Bitte verfasse einen Aufsatz über die Nordsee mit mindestens 1.200 Wörtern.",
    "words": "Bitte verfasse ein Gedicht über die Nordsee mit zwei bis vier Zeilen.",
    "about": "Bitte verfasse einen Brief an meine Großmutter mit etwa 300 Wörtern.",
    "english": "Write a story of at most 200 words about the fog on the coast, please.",
    "chinese": "写一个关于海边雾气的故事，不超过200字。",
}
FIND = f"""
import json, sys
from quillgraph.agents import Check, find_constraints, segment, writing_task
answers = {{}}
def find(name, request):
    task = writing_task(request)
    answers[name] = [
        [each.check.model_dump(mode="json", exclude_defaults=True), each.name, each.description]
        for each in find_constraints(segment(task), task.language)
    ]
requests = json.loads({json.dumps(REQUESTS)!r})
for name in ("english", "chinese"):
    find(name, requests.pop(name))
answers["loaded early"] = "quill_german" in sys.modules
for name, request in requests.items():
    find(name, request)
text = "Ich ging am Morgen zum Hafen, und meine Schwester wartete dort schon lange auf mich."
for person in ("first", "third"):
    answers[person] = Check.model_validate({{"type": "person", "person": person}}).violation(text)
print(json.dumps(answers))
"""
Answers = dict[str, Any]


@pytest.fixture(scope="module")
def installed(program: Program) -> Answers:
    done = program(FIND, "language")
    assert done.returncode == 0, done.stderr
    answers: Answers = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def absent(program: Program) -> Answers:
    done = program(FIND)
    assert done.returncode == 0, done.stderr
    answers: Answers = json.loads(done.stdout)
    return answers


def test_a_german_request_is_read_and_its_demands_are_named_in_german(installed: Answers) -> None:
    assert installed["german"] == [
        [{"max": 200}, "Höchstens 200 Wörter", "Der Text hat höchstens 200 Wörter."],
        [
            {"terms": ["Meer"]},
            "Verzichtet auf „Meer“",
            "Der Text hält sich an diese Vorgabe: verzichtet auf „Meer“.",
        ],
    ]


def test_german_rules_prefer_silence_to_error(installed: Answers) -> None:
    assert installed["told"] == []
    assert installed["part"] == []


def test_numbers_and_ranges_are_read_as_german_writes_them(installed: Answers) -> None:
    checks = {name: [check for check, _, _ in found] for name, found in installed.items()
              if name in ("thousand", "words", "about")}  # fmt: skip
    assert checks == {
        "thousand": [{"min": 1200}],
        "words": [{"min": 2, "max": 4}],
        # 15 % either way
        "about": [{"min": 255, "max": 345}],
    }


def test_who_tells_a_german_text_is_read_off_german_pronouns(installed: Answers) -> None:
    assert installed["first"] is None
    assert installed["third"] == "expected the third person, got first"


def test_english_and_chinese_requests_do_not_load_it_and_stay_as_they_are(
    installed: Answers, absent: Answers
) -> None:
    assert installed["loaded early"] is False
    for name, named in (("english", "At most 200 words"), ("chinese", "不超过200字")):
        assert installed[name] == absent[name]
        assert [each[1] for each in installed[name]] == [named]


def test_without_the_package_a_german_request_demands_nothing_that_code_can_check(
    absent: Answers,
) -> None:
    assert absent["german"] == []
    assert absent["first"] == "expected the first person, got no personal pronouns"


def test_a_language_that_cannot_be_imported_is_told_with_its_package(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad_german.py").write_text("import no_such_module\n", "utf-8")
    (tmp_path / "bad" / "pyproject.toml").write_text(
        '[project]\nname = "bad-german"\nversion = "1"\n'
        '[project.entry-points."quillgraph.languages"]\nde = "bad_german:GERMAN"\n',
        "utf-8",
    )
    done = program(FIND, "bad", folder=tmp_path)
    assert done.returncode == 1
    assert "language 'de' of bad-german cannot be loaded from bad_german:GERMAN" in done.stderr
