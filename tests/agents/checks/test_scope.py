"""A check of a part of a text: which part, what is said of it, and what it is worth."""

import pytest
from pydantic import TypeAdapter, ValidationError

from quillgraph.agents.checks import CharCount, Check, SentenceCount, WordCount, language_for
from quillgraph.agents.checks.scope import Scope
from quillgraph.agents.criteria import hard_criteria
from quillgraph.agents.judges import length_range
from quillgraph.agents.judges.rewards import LengthRange, satisfaction, satisfied_share
from quillgraph.agents.requests import find_constraints, segment, writing_task

_CHECKS: TypeAdapter[Check] = TypeAdapter(Check)

LETTER = (
    "# A Letter Home\n\n"
    "Subject: The boat\n\n"
    "I am well. The sea is calm today.\n\n"
    "We sail at noon. Write soon."
)
REPORT = "# Report\n\n## Abstract\n\nOne two three.\n\n## Findings\n\nFour five.\n\n## End\n\nSix."
THREE = "## One\nA b c\n\n## Two\nD e\n\n## Three\nF"

SPANS: list[tuple[Scope, str, list[str]]] = [
    (Scope(part="title"), LETTER, ["A Letter Home"]),
    (Scope(part="title"), "Title: The Sea\n\nIt was calm.", ["The Sea"]),
    (Scope(part="title"), "标题：海\n\n海很静。", ["海"]),
    (Scope(part="title"), "It was calm. It was cold.", []),
    (Scope(part="label", labels=("subject line", "subject")), LETTER, ["The boat"]),
    (Scope(part="label", labels=("abstract",)), REPORT, ["One two three."]),
    (Scope(part="label", labels=("摘要",)), "【摘要】本文讨论海。\n\n一、引言", ["本文讨论海。"]),
    (Scope(part="label", labels=("abstract",)), "**Abstract** We sail.\n\nSea.", ["We sail."]),
    (Scope(part="label", labels=("abstract",)), "**Abstract:** We sail.", ["We sail."]),
    (Scope(part="label", labels=("abstract",)), "Abstract painting is old.", []),
    (Scope(part="label", labels=("摘要",)), "摘要：本文讨论海。\n\n引言：海。", ["本文讨论海。"]),
    (Scope(part="label", labels=("abstract",)), "No such thing here.", []),
    (Scope(part="sentence"), "# T\n\nOne. Two! Three?", ["One.", "Two!", "Three?"]),
    (Scope(part="sentence", at=1), "天黑了。他走了。", ["天黑了。"]),
    (Scope(part="sentence", at=-1), "天黑了。他走了。", ["他走了。"]),
    (Scope(part="sentence", at=3), "One. Two.", []),
    (Scope(part="paragraph", at=2), "A b.\n\nC d.\n\nE f.", ["C d."]),
    (Scope(part="paragraph"), "第一段。\n第二段。", ["第一段。", "第二段。"]),
    (Scope(part="line", at=-1), "a b\nc d\n\ne f\ng h", ["g h"]),
    (Scope(part="stanza"), "a\nb\n\nc\nd", ["a\nb", "c\nd"]),
    (Scope(part="section"), THREE, ["A b c\n", "D e\n", "F"]),
    (Scope(part="section"), "No headings at all.", []),
    (Scope(part="item"), "Three:\n\n- one\n  more\n- two\n\nThanks.", ["one\n  more", "two"]),
    (Scope(part="text"), "A b.\n\n---\n\nC d.", ["A b.", "C d."]),
]


@pytest.mark.parametrize(("scope", "text", "spans"), SPANS)
def test_a_scope_takes_its_parts_out_of_a_text(scope: Scope, text: str, spans: list[str]) -> None:
    assert scope.spans(text) == spans


@pytest.mark.parametrize("scope", [scope for scope, _, _ in SPANS])
@pytest.mark.parametrize("text", ["", " \n\n", '"' * 9, "a.\n- " * 2000, "#\n" * 2000, "：\n" * 99])
def test_strange_texts_have_parts_or_none(scope: Scope, text: str) -> None:
    assert all(span.strip() for span in scope.spans(text))


def test_a_part_that_breaks_a_demand_is_named() -> None:
    check = WordCount(max=3, scope=Scope(part="sentence"))
    assert check.violation("I am. You are not. We all go home. They all go too now.") == (
        "expected at most 3 words in each sentence, got 4 in number 3 of 4 and 1 more off"
    )
    assert check.violation("I am. You are not.") is None
    title = CharCount(max=5, unit="character", scope=Scope(part="title"))
    assert title.violation(LETTER) == "expected at most 5 characters in title, got 13"


def test_a_part_that_a_text_does_not_have_is_a_violation_that_says_so() -> None:
    text = "It was calm. It was cold."
    abstract = WordCount(max=300, scope=Scope(part="label", labels=("abstract",)))
    assert abstract.violation(text) == (
        "expected at most 300 words in abstract, found no such part"
    )
    third = WordCount(max=9, scope=Scope(part="paragraph", at=3))
    assert third.violation(text) == (
        "expected at most 9 words in third paragraph, found no such part"
    )
    assert satisfaction(abstract, text) == satisfaction(third, text) == 0.0
    assert WordCount(max=9, scope=Scope(part="sentence")).violation("") is not None


def test_each_part_is_rated_and_the_whole_is_the_mean() -> None:
    check = WordCount(max=4, scope=Scope(part="sentence"))
    # three sentences are kept, one of 8 words is worth .5 · 4/8 = .25: (3 + .25) / 4
    text = "I am here. You are there. We go home now, all of us, tonight. They stay."
    assert [*map(len, map(str.split, Scope(part="sentence").spans(text)))] == [3, 3, 8, 2]
    assert satisfaction(check, text) == pytest.approx(3.25 / 4)


def test_a_good_story_is_worth_more_than_a_stub_under_a_limit_of_its_sentences() -> None:
    check = WordCount(max=25, scope=Scope(part="sentence"))
    sentence = "The keeper climbed the stairs and lit the lamp before the ships came in. "
    story = sentence * 25 + "He " + "climbed and " * 14 + "slept."  # 14 · 25 words, and one of 30
    assert satisfaction(check, sentence * 26) == satisfaction(check, "He slept.") == 1.0
    assert satisfaction(check, story) == pytest.approx((25 + 0.5 * 25 / 30) / 26)
    assert satisfaction(check, story) > 0.97


def test_a_limit_of_sentences_is_neither_the_length_of_the_text_nor_against_it() -> None:
    task = writing_task("Write a story. Keep sentences under 25 words.")
    criteria = hard_criteria(find_constraints(segment(task), task.language))
    assert [each.name for each in criteria] == ["At most 25 words in each sentence"]
    assert length_range(criteria) is None
    story = "The keeper climbed the stairs and lit the lamp before the ships came in. " * 26
    assert satisfied_share(criteria, story) == satisfied_share(criteria, "He slept.") == 1.0
    both = writing_task("Write a story of 300 to 400 words. Keep sentences under 25 words.")
    criteria = hard_criteria(find_constraints(segment(both), both.language))
    assert length_range(criteria) == LengthRange(300, 400, "words")
    # 26 · 14 = 364 words keep both; the stub keeps one, and of the length .5 · 2/300
    assert satisfied_share(criteria, story) == 1.0
    assert satisfied_share(criteria, "He slept.") == pytest.approx((1 + 0.5 * 2 / 300) / 2)


def test_a_check_of_the_whole_is_stored_as_before() -> None:
    # the hash of a saved set is taken of its JSON, so no new field may stand in it
    assert WordCount(max=25).model_dump_json() == '{"min":null,"max":25,"type":"word_count"}'
    old = _CHECKS.validate_json('{"min": null, "max": 25, "type": "word_count"}')
    assert old == WordCount(max=25)


@pytest.mark.parametrize("scope", [scope for scope, _, _ in SPANS])
def test_a_check_of_a_part_survives_json(scope: Scope) -> None:
    check = WordCount(max=25, scope=scope)
    assert _CHECKS.validate_json(_CHECKS.dump_json(check)) == check


@pytest.mark.parametrize(
    "fields",
    [
        {"part": "chapter"},
        {"part": "sentence", "at": 0},
        {"part": "label"},
        {"part": "title", "labels": ("title",)},
    ],
)
def test_a_scope_that_names_no_part_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Scope.model_validate(fields)


def test_the_whole_and_each_part_are_counted_apart() -> None:
    whole, part = WordCount(max=300), WordCount(max=25, scope=Scope(part="sentence"))
    assert whole.subject == "word_count"
    assert part.subject != whole.subject
    assert part.merge(WordCount(min=3, scope=Scope(part="sentence"))) == WordCount(
        min=3, max=25, scope=Scope(part="sentence")
    )


NAMES: list[tuple[Check, str, str]] = [
    (
        WordCount(max=25, scope=Scope(part="sentence")),
        "At most 25 words in each sentence",
        "每句不超过25词",
    ),
    (
        CharCount(max=20, scope=Scope(part="title")),
        "At most 20 characters in the title",
        "标题不超过20字",
    ),
    (
        SentenceCount(min=2, max=2, scope=Scope(part="paragraph", at=-1)),
        "2 sentences in the last paragraph",
        "最后一段2句话",
    ),
    (
        WordCount(max=9, scope=Scope(part="paragraph", at=7)),
        "At most 9 words in paragraph 7",
        "第7段不超过9词",
    ),
    (
        CharCount(max=300, scope=Scope(part="label", labels=("摘要",))),
        "At most 300 characters in the 摘要",
        "摘要不超过300字",
    ),
]


@pytest.mark.parametrize(("check", "english", "chinese"), NAMES)
def test_a_part_is_named_in_each_language(check: Check, english: str, chinese: str) -> None:
    assert check.name_in(language_for("en").wording) == english
    assert check.name_in(language_for("zh").wording) == chinese
    assert check.description_in(language_for("zh").wording) == f"文章要求：{chinese}。"
