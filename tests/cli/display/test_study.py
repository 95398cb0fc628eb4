"""What a person is told of a study."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.agents.domain import Core, CriteriaSet, Incident
from quillgraph.agents.text import amount
from quillgraph.graphs.study import summary

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"


def words(*more: object) -> list[str]:
    arguments = (
        "criteria", "--file", SCRIPTS / "lighthouse.txt", "--out", "run",
        "--backend", f"scripted:{SCRIPTS / 'lighthouse.yaml'}", *more,
    )  # fmt: skip
    return [str(word) for word in arguments]


def test_a_study_is_summed_up_in_one_line(quillgraph: Any) -> None:
    done = quillgraph(*words())
    assert done.stderr.splitlines()[-2:] == [
        "6 criteria from 8 codes in 4 categories; every clause of the request has a criterion; "
        "saturated after 3 rounds of coding; 2 replies or items dropped",
        "run folder: run",
    ]


def test_a_validator_that_cannot_tell_drafts_from_degenerate_texts_is_said_so(
    quillgraph: Any,
) -> None:
    flat = [{"when": "", "reply": json.dumps({"score": 5})}]
    Path("flat.yaml").write_text(yaml.safe_dump({"rules": flat}), encoding="utf-8")
    done = quillgraph(*words("--role", "validator=scripted:flat.yaml"))
    assert done.status == 0, done.stderr
    assert done.stderr.splitlines()[-2] == (
        "tried on 4 drafts: the model could not tell them from degenerate texts, so its scores "
        "refused nothing"
    )


def test_without_drafts_nobody_is_said_to_have_failed_a_trial(quillgraph: Any, spec: str) -> None:
    done = quillgraph("criteria", "A haiku about rain.", "--backend", spec, "--drafts", 0)
    assert done.status == 0, done.stderr
    assert "tried on" not in done.stderr


@pytest.mark.parametrize(
    ("coverage", "line"),
    [
        (1.0, "every clause of the request has a criterion"),
        (0.75, "3 of 4 clauses of the request have a criterion"),
        (0.25, "1 of 4 clauses of the request has a criterion"),
        (0.0, "0 of 4 clauses of the request have a criterion"),
    ],
)
def test_it_is_said_how_many_clauses_have_a_criterion(coverage: float, line: str) -> None:
    stats = {
        "coverage": coverage, "codes": 2, "categories": 1, "saturation": [], "saturated": False,
        "dropped": {},
    }  # fmt: skip
    core = Core(category_id="k1", storyline="so")
    clause, note = (
        Incident(id="i1", source=source, doc_id="d", span=(0, 2), text="so")
        for source in ("request", "draft")
    )
    criteria_set = CriteriaSet(
        request_hash="0", language="en", genre="poem", core=core, criteria=(), stats=stats
    )
    state: Any = {
        "criteria_set": criteria_set, "criteria": [], "memos": [], "drafts": [],
        "incidents": [clause] * 4 + [note] * 3,
    }  # fmt: skip
    assert line in summary(state)


def test_one_is_told_apart_from_many() -> None:
    assert (amount(1, "code"), amount(2, "code"), amount(0, "code")) == (
        "1 code", "2 codes", "0 codes",
    )  # fmt: skip
    assert amount(2, "reply or item", "replies or items") == "2 replies or items"
