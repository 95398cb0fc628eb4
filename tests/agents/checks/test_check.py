import pytest
from pydantic import TypeAdapter, ValidationError

from quillgraph.agents.checks.check import Check

_CHECKS: TypeAdapter[Check] = TypeAdapter(Check)

STORY = (
    "# The Lamp\n\n"
    "I climbed the lighthouse stairs. My knees hurt.\n\n"
    "“Are you there?” she asked. I didn't answer."
)
QUATRAIN = "《静夜思》\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
LIMERICK = (
    "There once was a cat\nwho sat on a mat\n"
    "and dreamed of a fish\nin a silver dish\nand that was that"
)


def check(**spec: object) -> Check:
    return _CHECKS.validate_python(spec)


HOLDS: list[tuple[dict[str, object], str]] = [
    # 8 words in "I climbed ... hurt.", 8 in the last line, 2 in the title: "#" is no word
    ({"type": "word_count", "min": 18, "max": 18}, STORY),
    # 1 title of 3 + 4 verses of 5 characters = 23, marks not counted
    ({"type": "char_count", "min": 23, "max": 23}, QUATRAIN),
    # 4 characters and the two words "AI" and "2.0": 6 字
    ({"type": "char_count", "max": 6, "min": 6}, "你好，AI 2.0世界！"),
    ({"type": "char_count", "unit": "character", "max": 5}, " a bcd\n"),
    (
        {"type": "sentence_count", "min": 4, "max": 4},
        "Mr. Ames left. Why? He was 3.5 km away!\nNobody knew",
    ),
    ({"type": "sentence_count", "min": 3, "max": 3}, "他走了。为什么？“我不知道。”"),
    ({"type": "line_count", "min": 5, "max": 5}, LIMERICK),
    ({"type": "line_count", "min": 5, "max": 5}, "**The Cat**\n\n" + LIMERICK),
    ({"type": "line_count", "min": 5, "max": 5}, "A Small Dream\n\n" + LIMERICK),
    ({"type": "paragraph_count", "min": 2, "max": 2}, STORY),
    ({"type": "paragraph_count", "min": 2, "max": 2}, "第一段在这里。\n第二段在这里。"),
    ({"type": "stanza_count", "min": 2, "max": 2}, "[Verse]\na b\nc d\n\n[Chorus]\ne f\ng h"),
    ({"type": "section_count", "min": 2, "max": 2}, "# T\n## A\nx\n## B\ny"),
    (
        {"type": "section_count", "min": 2, "max": 2},
        "## Introduction\nx\n## A\ny\n## B\nz\n## Conclusion\nw",
    ),
    ({"type": "section_count", "min": 2, "max": 2}, "一、背景\n内容。\n二、展望\n内容。"),
    ({"type": "list_count", "min": 3, "max": 3}, "Drill:\n\n- one\n- two\n- three\n\nThanks."),
    ({"type": "list_count", "min": 3, "max": 3}, "• 一\n• 二\n• 三"),
    ({"type": "list_count", "min": 3, "max": 3}, "1. one\n2. two\n3. three"),
    # what is indented below an item is part of it
    ({"type": "list_count", "min": 2, "max": 2}, "- one\n  - a\n  - b\n- two"),
    ({"type": "list_count", "min": 2, "max": 2}, "1. one\n   - a\n   - b\n   - c\n2. two"),
    ({"type": "classical_verse", "lines": 4, "characters": 5}, QUATRAIN),
    ({"type": "classical_verse", "lines": 4}, QUATRAIN),
    ({"type": "must_include", "terms": ["lighthouse", "LAMP"]}, STORY),
    ({"type": "must_include", "terms": ["keeper"]}, "Two keepers met."),
    ({"type": "must_include", "terms": ["didn't answer"]}, "I didn’t\nanswer."),
    ({"type": "must_include", "any_of": ["sea", "stairs"]}, STORY),
    ({"type": "must_include", "terms": ["月"]}, QUATRAIN),
    ({"type": "must_not_include", "terms": ["art"]}, "She started to part the crowd."),
    ({"type": "must_not_include", "terms": ["e"], "anywhere": True}, "A solitary lamp shut off."),
    ({"type": "language", "language": "en"}, STORY),
    ({"type": "language", "language": "zh"}, QUATRAIN),
    ({"type": "format", "form": "list"}, "- one\n- two"),
    ({"type": "format", "form": "numbered_list"}, "1. one\n2. two"),
    ({"type": "format", "form": "numbered_list"}, "一、甲\n二、乙"),
    ({"type": "format", "form": "no_list"}, STORY),
    ({"type": "format", "form": "headings"}, STORY),
    ({"type": "format", "form": "table"}, "| a | b |\n|---|---|\n| 1 | 2 |"),
    ({"type": "format", "form": "letter"}, "12 May\n\nDear Ann,\n\nIt rains.\n\nLove, Bo"),
    ({"type": "format", "form": "letter"}, "亲爱的妈妈：\n您好！"),
    ({"type": "dialogue", "present": True}, STORY),
    ({"type": "dialogue", "present": True}, "他说：“走吧。”"),
    ({"type": "dialogue", "present": True}, "— Tu viens ?\n— Non."),
    ({"type": "dialogue", "present": True}, "Ann: Come in.\nBo: No, thanks."),
    ({"type": "dialogue", "present": True}, "「行こう。」と彼は言った。"),
    (
        {"type": "dialogue", "present": False},
        'A "pretty" ship with the name “Spice World,” sailed.',
    ),
    ({"type": "person", "person": "first"}, STORY),
    (
        {"type": "person", "person": "second"},
        "You open the door. Your hand shakes. He waits for you.",
    ),
    ({"type": "person", "person": "third"}, "She left. “I am late,” she said. He waved at her."),
    ({"type": "person", "person": "third"}, "Rain fell on the empty square."),
    ({"type": "person", "person": "first"}, "我走在路上，他在我身后。"),
    ({"type": "starts_with", "text": "I climbed the"}, STORY),
    ({"type": "ends_with", "text": "and that was that."}, LIMERICK),
    ({"type": "title"}, STORY),
    ({"type": "title"}, QUATRAIN),
    ({"type": "title", "present": False}, LIMERICK),
]

VIOLATED: list[tuple[dict[str, object], str, str]] = [
    ({"type": "word_count", "max": 17}, STORY, "expected at most 17 words, got 18"),
    ({"type": "word_count", "min": 300, "max": 500}, "a b", "expected 300 to 500 words, got 2"),
    ({"type": "char_count", "min": 800}, QUATRAIN, "expected at least 800 characters (字), got 23"),
    ({"type": "line_count", "min": 3, "max": 3}, LIMERICK, "expected exactly 3 lines, got 5"),
    (
        {"type": "section_count", "min": 4, "max": 4},
        "# T\n## A\n## B",
        "expected exactly 4 sections with a heading, got 1 or 2",
    ),
    (
        {"type": "list_count", "min": 3, "max": 3},
        "- one\n- two\n- three\n- four",
        "expected exactly 3 list items, got 4",
    ),
    (
        {"type": "list_count", "min": 3, "max": 3},
        "One, two and three - all in a row.",
        "expected exactly 3 list items, got 0",
    ),
    (
        {"type": "classical_verse", "lines": 4, "characters": 7},
        QUATRAIN,
        "expected 7 characters in each verse, got [5, 5, 5, 5]",
    ),
    (
        {"type": "must_include", "terms": ["sea", "lamp"]},
        STORY,
        "expected 'sea', 'lamp', missing 'sea'",
    ),
    ({"type": "must_include", "terms": ["art"]}, "She started.", "expected 'art', missing 'art'"),
    ({"type": "must_not_include", "terms": ["lamp"]}, STORY, "expected no 'lamp', found it"),
    (
        {"type": "must_not_include", "terms": ["e"], "anywhere": True},
        "Here",
        "expected no 'e', found it",
    ),
    ({"type": "language", "language": "fr"}, STORY, "expected a text in 'fr', got a text in 'en'"),
    ({"type": "format", "form": "no_markdown"}, STORY, "expected plain text, found Markdown marks"),
    ({"type": "dialogue", "present": False}, STORY, "expected no dialogue, found some"),
    ({"type": "person", "person": "third"}, STORY, "expected the third person, got first"),
    ({"type": "starts_with", "text": "Once"}, "Twice", "expected the start 'Once', got 'Twice'"),
]

_PRESENT_FORMS = ("list", "numbered_list", "headings", "table", "letter")
DEMANDS_PRESENCE: list[dict[str, object]] = [
    {"type": "word_count", "min": 1},
    {"type": "char_count", "min": 1},
    {"type": "sentence_count", "min": 1},
    {"type": "line_count", "min": 1},
    {"type": "paragraph_count", "min": 1},
    {"type": "stanza_count", "min": 1},
    {"type": "section_count", "min": 1},
    {"type": "list_count", "min": 1},
    {"type": "classical_verse", "lines": 4},
    {"type": "must_include", "terms": ["a"]},
    {"type": "must_include", "any_of": ["a", "b"]},
    {"type": "language", "language": "en"},
    {"type": "dialogue", "present": True},
    {"type": "starts_with", "text": "a"},
    {"type": "ends_with", "text": "a"},
    {"type": "title"},
]
DEMANDS_PRESENCE += [{"type": "format", "form": form} for form in _PRESENT_FORMS]
DEMANDS_PRESENCE += [{"type": "person", "person": which} for which in ("first", "second", "third")]


@pytest.mark.parametrize(("spec", "text"), HOLDS)
def test_a_text_that_keeps_the_demand_has_no_violation(spec: dict[str, object], text: str) -> None:
    assert check(**spec).violation(text) is None


@pytest.mark.parametrize(("spec", "text", "complaint"), VIOLATED)
def test_a_violation_says_what_was_expected_and_found(
    spec: dict[str, object], text: str, complaint: str
) -> None:
    assert check(**spec).violation(text) == complaint


@pytest.mark.parametrize("spec", DEMANDS_PRESENCE)
@pytest.mark.parametrize("text", ["", " \n\n\t"])
def test_no_text_violates_what_demands_that_something_be_there(
    spec: dict[str, object], text: str
) -> None:
    assert check(**spec).violation(text) is not None


@pytest.mark.parametrize("spec", [spec for spec, _ in HOLDS])
def test_a_check_survives_json(spec: dict[str, object]) -> None:
    demand = check(**spec)
    assert _CHECKS.validate_json(_CHECKS.dump_json(demand)) == demand


@pytest.mark.parametrize("spec", DEMANDS_PRESENCE)
@pytest.mark.parametrize(
    "unit", ['"', "\n", " ", "*", "|", "：", "“", "é\u0301 ", "a.\n- ", "x:\n", "👩‍👩‍👧 ", "\ud800"]
)
def test_strange_texts_are_judged_too(spec: dict[str, object], unit: str) -> None:
    # ten thousand units show a quadratic pattern as a hanging test
    demand = check(**spec)
    verdict = demand.violation(unit * 10_000)
    assert verdict is None or verdict.startswith("expected")


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "word_count"},
        {"type": "word_count", "min": 5, "max": 4},
        {"type": "word_count", "min": -1},
        {"type": "must_include"},
        {"type": "must_not_include", "terms": []},
        {"type": "must_include", "terms": ["  "]},
        {"type": "language", "language": "English"},
        {"type": "rhyme"},
        {"type": "title", "colour": "red"},
    ],
)
def test_a_check_that_makes_no_sense_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        check(**spec)
