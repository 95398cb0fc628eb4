"""Forms made for one call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from quillgraph.agents.reply import form, one_of, some_of, text, whole_number


def fits(made: type[BaseModel], **fields: object) -> bool:
    try:
        made.model_validate(fields)
    except ValidationError:
        return False
    return True


def test_every_field_is_required_and_no_other_is_taken() -> None:
    made = form("Note", label=str, place=int)
    assert fits(made, label="a", place=1)
    assert not fits(made, label="a")
    assert not fits(made, label="a", place=1, more="b")
    schema = made.model_json_schema()
    assert schema["title"] == "Note"
    assert schema["required"] == ["label", "place"]
    assert schema["additionalProperties"] is False


def test_a_choice_is_an_enum_of_what_was_offered_in_order() -> None:
    schema = form("Choice", id=one_of(["c2", "c1"]))
    assert schema.model_json_schema()["properties"]["id"]["enum"] == ["c2", "c1"]
    assert fits(schema, id="c1")
    assert not fits(schema, id="c3")


def test_a_choice_may_hold_any_words() -> None:
    schema = form("Choice", reading=one_of(['Voice: "old" {sea}', "语气：海"]))
    assert fits(schema, reading='Voice: "old" {sea}')
    assert fits(schema, reading="语气：海")


def test_fields_may_be_named_by_ids() -> None:
    schema = form("Slots", **dict.fromkeys(["c1", "c2"], one_of(["causal", "none"])))
    assert fits(schema, c1="causal", c2="none")
    assert not fits(schema, c1="causal")


def test_several_may_be_chosen_but_not_none_and_not_more_than_the_most() -> None:
    schema = form("Some", ids=some_of(["a", "b", "c"], most=2))
    assert fits(schema, ids=["a"])
    assert fits(schema, ids=["c", "a"])
    assert not fits(schema, ids=[])
    assert not fits(schema, ids=["a", "b", "c"])
    assert not fits(schema, ids=["d"])


@pytest.mark.parametrize(("most", "longest"), [(None, 2), (1, 1), (2, 2), (9, 2)])
def test_no_more_are_asked_for_than_there_are(most: int | None, longest: int) -> None:
    schema = form("Some", ids=some_of(["a", "b"], most=most)).model_json_schema()
    assert schema["properties"]["ids"]["maxItems"] == longest


@given(st.integers(0, 12))
def test_a_text_has_the_asked_length(length: int) -> None:
    assert fits(form("Said", words=text(3, 8)), words="x" * length) == (3 <= length <= 8)


def test_a_whole_number_lies_in_its_range_and_is_no_boolean() -> None:
    made = form("Score", score=whole_number(1, 10))
    assert fits(made, score=1)
    assert fits(made, score="7")
    for other in (True, False, 0, 11, 0.8, 7.5, "8/10"):
        assert not fits(made, score=other), other
    schema = made.model_json_schema()["properties"]["score"]
    assert {k: schema[k] for k in ("type", "minimum", "maximum")} == {
        "type": "integer", "minimum": 1, "maximum": 10,
    }  # fmt: skip
