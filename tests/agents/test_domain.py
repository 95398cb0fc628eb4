"""The vocabulary, as frozen values."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quillgraph.agents.checks.count import WordCount
from quillgraph.agents.checks.words import MustInclude
from quillgraph.agents.domain import (
    LEVELS,
    TIER_WEIGHT,
    Code,
    Coding,
    Core,
    CriteriaSet,
    Criterion,
    Incident,
    Memo,
    WritingTask,
)


@pytest.fixture(scope="module")
def criteria_set(criterion: Callable[..., Criterion]) -> Callable[..., CriteriaSet]:
    def make(**fields: Any) -> CriteriaSet:
        defaults: dict[str, Any] = {
            "request_hash": "ab12",
            "language": "en",
            "genre": "story",
            "core": Core(category_id="k1", storyline="The keeper stays."),
            "criteria": (
                criterion("k1.0"),
                criterion("k1.pitfall1", kind="pitfall", tier="pitfall"),
                criterion("h1", kind="hard", levels={}, category_id=None, check=WordCount(max=400)),
                criterion(
                    "h2", kind="hard", levels={}, category_id=None, check=MustInclude(terms=("海",))
                ),
            ),
        }
        return CriteriaSet(**{**defaults, **fields})

    return make


def test_the_hash_is_that_of_the_canonical_json(criteria_set: Callable[..., CriteriaSet]) -> None:
    criteria = criteria_set(criteria=(), core=Core(category_id="k1", storyline="海"))
    # keys in order, no blanks, no escapes, neither `stats` nor the hash itself
    canonical = (
        '{"core":{"category_id":"k1","storyline":"海"},"criteria":[],"genre":"story",'
        '"language":"en","request_hash":"ab12","version":1}'
    )
    assert criteria.sha256 == hashlib.sha256(canonical.encode()).hexdigest()


def test_equal_criteria_have_equal_hashes_and_others_do_not(
    criteria_set: Callable[..., CriteriaSet], criterion: Callable[..., Criterion]
) -> None:
    assert criteria_set().sha256 == criteria_set().sha256
    others = [
        criteria_set(language="zh"),
        criteria_set(genre="poem"),
        criteria_set(request_hash="cd34"),
        criteria_set(core=Core(category_id="k2", storyline="The keeper stays.")),
        criteria_set(criteria=(criterion("k1.0"),)),
        criteria_set(criteria=(criterion("k1.0", name="Other"),)),
        criteria_set(criteria=(criterion("k1.0", tier="optional"),)),
    ]
    assert len({criteria_set().sha256, *(other.sha256 for other in others)}) == 8


def test_the_order_of_the_criteria_is_part_of_the_hash(
    criteria_set: Callable[..., CriteriaSet],
) -> None:
    criteria = criteria_set()
    assert criteria_set(criteria=criteria.criteria[::-1]).sha256 != criteria.sha256


def test_what_a_run_measured_is_no_part_of_the_hash(
    criteria_set: Callable[..., CriteriaSet],
) -> None:
    measured = criteria_set(stats={"calls": 12, "coverage": 0.9})
    assert measured.sha256 == criteria_set().sha256
    assert measured.stats["calls"] == 12


def test_a_set_survives_json(criteria_set: Callable[..., CriteriaSet]) -> None:
    criteria = criteria_set(stats={"calls": 12})
    again = CriteriaSet.model_validate_json(criteria.model_dump_json())
    assert again == criteria
    assert isinstance(again.criteria[2].check, WordCount)
    assert again.criteria[3].check == MustInclude(terms=("海",))


def test_a_set_survives_json_that_was_laid_out_anew(
    criteria_set: Callable[..., CriteriaSet],
) -> None:
    criteria = criteria_set()
    laid_out = json.dumps(json.loads(criteria.model_dump_json()), indent=2, sort_keys=True)
    assert CriteriaSet.model_validate_json(laid_out) == criteria


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"weight":1.0', '"weight":0.9'),
        ("The keeper stays.", "The keeper goes."),
        ('"max":400', '"max":500'),
        ('"version":1', '"version":2'),
        ("What level 9-10 does.", "Anything."),
    ],
)
def test_a_file_that_was_edited_by_hand_is_refused(
    criteria_set: Callable[..., CriteriaSet], old: str, new: str
) -> None:
    file = criteria_set().model_dump_json()
    assert old in file
    with pytest.raises(ValidationError, match="the file was edited by hand or damaged"):
        CriteriaSet.model_validate_json(file.replace(old, new, 1))


def test_a_hash_of_something_else_is_refused(criteria_set: Callable[..., CriteriaSet]) -> None:
    with pytest.raises(ValidationError, match=r"expected .*…, got ffff…"):
        criteria_set(sha256="ffff")


@pytest.mark.parametrize("field", ["criteria", "sha256", "language"])
def test_a_set_cannot_be_changed(criteria_set: Callable[..., CriteriaSet], field: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(criteria_set(), field, "other")


def test_values_are_frozen_and_refuse_fields_that_they_do_not_know(
    task: WritingTask, code: Callable[..., Code]
) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        task.genre = "poem"
    with pytest.raises(ValidationError, match="frozen"):
        code("c1").label = "other"
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        code("c1", colour="blue")


def test_a_code_without_evidence_is_none(
    code: Callable[..., Code], criterion: Callable[..., Criterion]
) -> None:
    with pytest.raises(ValidationError, match="evidence"):
        code("c1", evidence=())
    with pytest.raises(ValidationError, match="evidence"):
        Coding(label="a", gloss="b", evidence=(), coder="reader", confidence=3)
    with pytest.raises(ValidationError, match="evidence"):
        criterion("k1.0", evidence=())


@pytest.mark.parametrize("confidence", [0, 6])
def test_confidence_runs_from_one_to_five(code: Callable[..., Code], confidence: int) -> None:
    with pytest.raises(ValidationError, match="confidence"):
        code("c1", confidence=confidence)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_tasks_hash_is_that_of_its_words_alone(request: str) -> None:
    task = WritingTask(request=request, language="en", genre="poem")
    assert task.request_hash == hashlib.sha256(request.encode()).hexdigest()
    assert task.request_hash == WritingTask(request=request, language="zh").request_hash


@given(
    st.builds(
        Incident,
        id=st.just("i1"),
        source=st.sampled_from(["request", "draft", "memory"]),
        doc_id=st.just("request"),
        span=st.tuples(st.integers(0, 9), st.integers(0, 9)),
        text=st.text(st.characters(exclude_categories=["Cs"])),
        note=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_any_incident_survives_json(incident: Incident) -> None:
    assert Incident.model_validate_json(incident.model_dump_json()) == incident


def test_a_memo_survives_json() -> None:
    memo = Memo(stage="axial coding", round=1, agent="coder", text="why", refs=("c1", "c2"))
    assert Memo.model_validate_json(memo.model_dump_json()) == memo


def test_the_weights_are_those_of_the_source_and_the_levels_cover_the_scale() -> None:
    # Rubrics as Rewards: essential 1.0, important .7, optional .3, pitfall .9
    assert list(TIER_WEIGHT.values()) == [1.0, 0.7, 0.3, 0.9]
    bands = [band.split("-") for band in LEVELS]
    assert [int(end) for band in bands for end in band] == list(range(1, 11))


ROOT = Path(__file__).parents[2]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a value, itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from objects(inner)


@pytest.fixture(scope="module")
def stored() -> list[dict[str, Any]]:
    """Every object of the JSON files that are kept in the repository."""
    every: list[dict[str, Any]] = []
    for folder in ("examples", "benchmarks/results"):
        for file in (ROOT / folder).rglob("*.json"):
            every += objects(json.loads(file.read_text("utf-8")))
        for file in (ROOT / folder).rglob("*.jsonl"):
            for line in filter(None, file.read_text("utf-8").split("\n")):
                every += objects(json.loads(line))
    return every


def test_stored_criteria_sets_load_and_keep_their_hash(stored: list[dict[str, Any]]) -> None:
    sets = [each for each in stored if {"criteria", "sha256", "request_hash"} <= each.keys()]
    # 76 of the training example, 1 of the scripts, and those of the benchmark of criteria
    assert len(sets) >= 77
    for each in sets:
        assert CriteriaSet.model_validate(each).model_dump(mode="json") == each


def test_stored_checks_are_written_as_they_were_read(stored: list[dict[str, Any]]) -> None:
    hard = [each for each in stored if each.get("kind") == "hard" and each.get("check")]
    assert len({each["check"]["type"] for each in hard}) > 4
    for each in hard:
        written = Criterion.model_validate(each).model_dump_json()
        # the order of the fields too, which files show
        assert json.loads(written)["check"] == each["check"]
        assert list(json.loads(written)["check"]) == list(each["check"])


def test_the_hash_of_a_set_with_checks_is_pinned(criteria_set: Callable[..., CriteriaSet]) -> None:
    # of the JSON as it stood before checks became classes that others may add to
    assert (
        criteria_set().sha256 == "ed6c7082913ab94dbc8204bb21d2be96e74081387faced07158e5cd96fba19f0"
    )
