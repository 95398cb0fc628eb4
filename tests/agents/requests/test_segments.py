import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests.segments import (
    MOST_INCIDENTS,
    USUAL_CHARS,
    USUAL_INCIDENTS,
    segment,
)


def cut(request: str) -> list[str]:
    task = WritingTask(request=request, language="en")
    return [incident.text for incident in segment(task)]


def assert_nothing_is_lost(request: str) -> None:
    incidents = segment(WritingTask(request=request, language="en"))
    position = 0
    for number, incident in enumerate(incidents, start=1):
        start, end = incident.span
        assert incident.id == f"i{number}"
        assert position <= start < end
        assert request[position:start].strip() == ""
        assert request[start:end] == incident.text == incident.text.strip()
        position = end
    assert request[position:].strip() == ""
    limit = USUAL_INCIDENTS if len(request) <= USUAL_CHARS else MOST_INCIDENTS
    assert len(incidents) <= limit


_FRAGMENTS = st.sampled_from(
    [
        "Write a story. ",
        "in 300 words, ",
        "without dialogue; ",
        "\n- ",
        "\n1. ",
        "\n\n",
        "  ",
        "写一首诗，",
        "要求押韵。",
        "字数不少于800字；",
        "“quoted. text” ",
        "(a. b) ",
        "：",
        "①",
        "Dr. Who ",
        "3.5 ",
        "!?",
        "\u3000",
        "\x85",
        "👩\u200d👩\u200d👧",
        "é",
        "\r\n",
        '"',
        "'",
    ]
)


@given(st.text(min_size=1, max_size=400))
def test_any_text_is_covered_verbatim_and_in_order(request: str) -> None:
    assert_nothing_is_lost(request)


@settings(deadline=None)
@given(st.lists(_FRAGMENTS, min_size=1, max_size=500).map("".join).filter(bool))
def test_any_mixture_of_demands_is_covered_verbatim_and_in_order(request: str) -> None:
    assert_nothing_is_lost(request)


def test_clauses_with_demands_of_their_own_are_apart() -> None:
    request = "Write a ghost story under 400 words, in the second person, and without dialogue."
    assert cut(request) == [
        "Write a ghost story under 400 words,",
        "in the second person,",
        "and without dialogue.",
    ]


def test_an_enumeration_is_no_row_of_demands() -> None:
    assert cut("Describe apples, pears, plums, and figs.") == [
        "Describe apples, pears, plums, and figs."
    ]


def test_list_items_are_apart_and_the_heading_stays_with_the_first() -> None:
    request = (
        "Notes:\n- keep the tone warm and light\n- mention the old lighthouse\n"
        "1) end with hope and light"
    )
    assert cut(request) == [
        "Notes:\n- keep the tone warm and light",
        "- mention the old lighthouse",
        "1) end with hope and light",
    ]


def test_items_in_one_line_are_apart() -> None:
    request = (
        "请写一篇书评，要求：1）开头简要介绍作品背景；"
        "2）正文分三个部分展开论述；3）结尾谈谈个人感悟。"
    )
    assert cut(request) == [
        "请写一篇书评，要求：",
        "1）开头简要介绍作品背景；",
        "2）正文分三个部分展开论述；",
        "3）结尾谈谈个人感悟。",
    ]


def test_chinese_is_cut_at_stops_and_between_long_clauses() -> None:
    # the comma has 14 characters before it and 15 after it: both are at least 10
    request = "请写一篇关于故乡老房子的散文，语言要朴实细腻多用感官来描写。不要空话套话。"
    assert cut(request) == [
        "请写一篇关于故乡老房子的散文，",
        "语言要朴实细腻多用感官来描写。",
        "不要空话套话。",
    ]


def test_short_chinese_clauses_stay_together() -> None:
    assert cut("语言优美，情感真挚。") == ["语言优美，情感真挚。"]


def test_stops_in_quotations_and_abbreviations_do_not_cut() -> None:
    request = 'Dr. Moreau says: "No. Never. Not here." to the guests of St. Ives.'
    assert cut(request) == [request]


def test_a_fragment_is_glued_to_what_it_follows() -> None:
    assert cut("Tell me a bedtime story. Please!") == ["Tell me a bedtime story. Please!"]


def test_pasted_material_is_merged_before_the_demands() -> None:
    material = "The harbour was grey that morning and nobody spoke to him. " * 200
    request = f"Rewrite the text as a poem. It must rhyme.\n\n{material}\n\nAvoid the word grey."
    texts = cut(request)
    assert len(texts) <= MOST_INCIDENTS
    assert texts[0] == "Rewrite the text as a poem."
    assert texts[-1] == "Avoid the word grey."


def test_a_blank_request_has_no_incidents() -> None:
    assert cut(" \n\t ") == []


@pytest.mark.parametrize(
    "request_text", ["a. " * 10_000, "\n" * 32_000, " , with" * 4_000, '"' * 32_000]
)
def test_strange_requests_of_the_greatest_length_are_cut(request_text: str) -> None:
    assert_nothing_is_lost(request_text)
