"""Phrases of a passage."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.checks.language import phrasing_of
from quillgraph.agents.text import phrases as module
from quillgraph.agents.text.phrases import is_negated, is_placed

PIECES = st.lists(
    st.sampled_from(
        [
            "a lighthouse keeper",
            "the old sea wall",
            "who never sleeps",
            "please write",
            "about",
            "of",
            "don’t shout",
            "“The Red Door”",
            "'quoted'",
            "- item",
            "3,5",
            ",",
            ".",
            "\n",
            "  ",
            "写一首诗",
            "关于大海的",
            "不要押韵",
            "《红门》",
            "，",
            "。",
        ]
    ),
    max_size=10,
).map(" ".join)
LANGUAGES = st.sampled_from(["en", "zh", "ja", "fr", "und"])


def phrases(text: str, language: str, most: int = 6) -> tuple[str, ...]:
    return module.phrases(text, phrasing_of(language), most)


def without_blanks(text: str) -> str:
    return "".join(text.split())


@given(PIECES | st.text(max_size=80), LANGUAGES, st.integers(1, 8))
def test_phrases_are_verbatim_parts_of_the_passage(text: str, language: str, most: int) -> None:
    pieces = phrases(text, language, most)
    # a shortened passage may have its blanks and line breaks evened out
    assert all(without_blanks(phrase) in without_blanks(text) for phrase in pieces)
    assert 1 <= len(pieces) <= most
    assert len(set(pieces)) == len(pieces)


@given(PIECES, LANGUAGES)
def test_phrases_stay_short_and_the_longest_come_first(text: str, language: str) -> None:
    pieces = phrases(text, language)
    assert sorted(pieces, key=len, reverse=True) == list(pieces)
    if language == "zh":
        # a title in quotation marks may be longer
        rules = [phrase for phrase in pieces if is_negated(phrase)]
        assert all(len(phrase) <= 24 for phrase in rules)
        assert all(len(p) <= 20 for p in pieces if p not in rules)
    elif "“" not in text and "《" not in text:
        rules = [phrase for phrase in pieces if is_negated(phrase)]
        assert all(len(phrase.split()) <= 12 for phrase in rules)
        assert all(len(p.split()) <= 7 for p in pieces if p not in rules)


@given(PIECES, LANGUAGES)
def test_no_phrase_is_what_is_left_of_a_denial(text: str, language: str) -> None:
    # "shout" of "don’t shout" would ask for the opposite
    for phrase in phrases(text, language, most=20):
        if re.search("shout|sleeps|押韵", phrase):
            assert is_negated(phrase)


@given(PIECES, LANGUAGES)
def test_a_negated_clause_is_one_phrase(text: str, language: str) -> None:
    if is_negated(text) and not re.search(r"[,.，。\n]", text):
        assert len(phrases(text, language)) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Write a story about an old lighthouse keeper and the winter storm",
            ("old lighthouse keeper", "winter storm", "story"),
        ),
        ("set in the harbour of Lisbon", ("harbour of Lisbon",)),
        ("my grandmother's kitchen at night", ("grandmother's kitchen", "night")),
        # nothing carries content: the passage itself, without its first word
        ("Please do it for us", ("do it for us",)),
    ],
)
def test_english_phrases_lie_between_function_words(text: str, found: tuple[str, ...]) -> None:
    assert phrases(text, "en") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("请写一首关于大海的诗，语言优美", ("语言优美", "大海")),
        ("描写故乡的冬天和母亲", ("故乡", "冬天", "母亲")),
    ],
)
def test_chinese_phrases_lie_between_function_words(text: str, found: tuple[str, ...]) -> None:
    assert phrases(text, "zh") == found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Do not use the word love.", "Do not use the word love"),
        ("and never mention the war,", "never mention the war"),
        ("Don’t name the feeling", "Don’t name the feeling"),
        ("It can't be sad", "It can't be sad"),
        ("without a single adjective", "without a single adjective"),
    ],
)
def test_a_prohibition_is_kept_whole(text: str, kept: str) -> None:
    # "use the word love" would ask for the opposite
    assert is_negated(text)
    assert phrases(text, "en") == (kept,)


def test_a_title_is_a_phrase_though_it_holds_function_words() -> None:
    assert phrases("titled “Gone with the Wind”", "en")[0] == "Gone with the Wind"
    assert phrases("以《我和我的祖国》为题", "zh")[0] == "《我和我的祖国》"


def test_a_chinese_prohibition_is_kept_whole() -> None:
    assert phrases("不要直接写出悲伤。", "zh") == ("不要直接写出悲伤",)
    assert phrases("避免使用任何形容词或者副词以及成语", "zh") == (
        "避免使用任何形容词或者副词以及成语",
    )


@pytest.mark.parametrize(
    "text",
    [
        "a knotted rope",
        "nothing but sea",
        "noble",
        "写一首诗",
        "not only his love for nature but also his doubts",
    ],
)
def test_words_that_only_look_like_a_negation_are_none(text: str) -> None:
    assert not is_negated(text)


def test_the_most_phrases_may_be_fewer() -> None:
    text = "red door, blue window, green garden, white fence"
    assert phrases(text, "en", most=2) == ("green garden", "blue window")


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        (
            "写父亲在码头送别儿子去当兵，结尾不要抒情。",
            "zh",
            ("码头送别儿子去当兵", "结尾不要抒情", "父亲"),
        ),
        ("Set it in a lighthouse, no jokes.", "en", ("lighthouse", "no jokes")),
        # what follows a denial may be denied too
        ("no jokes, puns or irony", "en", ("no jokes, puns or irony",)),
        ("In the last line, do not name him.", "en", ("In the last line, do not name him",)),
        ("Let it end with a question.", "en", ("Let it end with a question",)),
        ("a tower at the end of the world", "en", ("end of the world", "tower")),
        ("announces a fire drill", "en", ("fire drill",)),
    ],
)
def test_a_rule_keeps_the_word_that_says_where(
    text: str, language: str, found: tuple[str, ...]
) -> None:
    assert phrases(text, language) == found


def test_a_long_ban_keeps_where_and_not() -> None:
    text = "The whole of this long and winding text that you write must at the end carry no moral"
    # 18 words are cut to what begins with the place
    assert phrases(text, "en") == ("at the end carry no moral",)
    assert is_placed(text)
