from hypothesis import given
from hypothesis import strategies as st

from quillgraph.evals.report.passages import Span, quoted, segments, word_differences

TEXTS = st.text(alphabet="ab 雨。\n\u2028<\x00é", max_size=40)
SPANS = st.builds(
    Span,
    st.integers(-3, 50),
    st.integers(-3, 50),
    st.sampled_from(["incident", "cited", "added"]),
    st.sampled_from(["x", "y"]),
)


def test_overlapping_spans_cut_a_text_where_each_begins_and_ends() -> None:
    # 0123456789
    # The night.     a over "The ni", b over "night"
    parts = segments("The night.", [Span(0, 6, "cited", "a"), Span(4, 9, "behind", "b")])
    assert [(each.text, each.names("cited"), each.names("behind")) for each in parts] == [
        ("The ", "a", ""),
        ("ni", "a", "b"),
        ("ght", "", "b"),
        (".", "", ""),
    ]


def test_an_incident_can_be_jumped_to_where_it_begins_and_nowhere_else() -> None:
    parts = segments("abcd", [Span(1, 3, "incident", "i1"), Span(2, 3, "cited", "k1")])
    assert [each.begins for each in parts] == [(), ("i1",), (), ()]


@given(TEXTS, st.lists(SPANS, max_size=6))
def test_no_span_loses_or_adds_a_character(text: str, spans: list[Span]) -> None:
    assert "".join(each.text for each in segments(text, spans)) == text


def test_a_revision_is_told_word_by_word() -> None:
    removed, added = word_differences("The rain came.", "The snow came late.")
    # "rain" -> "snow" at 4-8; " late" is new at 13-18
    assert [(s.start, s.end) for s in removed] == [(4, 8)]
    assert [(s.start, s.end) for s in added] == [(4, 8), (13, 18)]


def test_changes_with_nothing_but_a_space_between_them_are_one_change() -> None:
    removed, added = word_differences("Old rain came.", "New snow came.")
    assert [(s.start, s.end) for s in removed] == [(0, 8)]
    assert [(s.start, s.end) for s in added] == [(0, 8)]


def test_equal_texts_differ_in_nothing() -> None:
    assert word_differences("The rain came.", "The rain came.") == ([], [])


def test_chinese_is_compared_character_by_character() -> None:
    removed, added = word_differences("雨来了", "雨停了")
    assert [(s.start, s.end) for s in removed] == [(1, 2)]
    assert [(s.start, s.end) for s in added] == [(1, 2)]


@given(TEXTS, TEXTS)
def test_what_was_neither_taken_out_nor_put_in_is_the_same_on_both_sides(a: str, b: str) -> None:
    removed, added = word_differences(a, b)
    kept_a = "".join(s.text for s in segments(a, removed) if not s.has("removed"))
    kept_b = "".join(s.text for s in segments(b, added) if not s.has("added"))
    assert kept_a == kept_b
    assert bool(removed or added) == (a != b)


def test_a_quotation_that_is_not_in_the_text_marks_nothing() -> None:
    assert quoted("The rain came.", "rain", "k1") == [Span(4, 8, "quoted", "k1")]
    assert quoted("The rain came.", "snow", "k1") == []
    assert quoted("The rain came.", None, "k1") == []
