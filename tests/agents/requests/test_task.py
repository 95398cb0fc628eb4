"""From raw text to a writing task."""

import pytest

from quillgraph.agents.domain import BRIEF_CHARS, MAX_REQUEST_CHARS, WritingTask
from quillgraph.agents.requests.task import GENRES, genre_of, writing_task
from quillgraph.backends.errors import InputError


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\u3000"])
def test_a_blank_request_is_refused(blank: str) -> None:
    with pytest.raises(InputError, match="got an empty text"):
        writing_task(blank)


def test_a_request_of_the_most_characters_is_taken_and_one_more_is_not() -> None:
    assert len(writing_task("诗" * MAX_REQUEST_CHARS).request) == MAX_REQUEST_CHARS
    with pytest.raises(InputError, match="at most 32,000 characters, got 32,001"):
        writing_task("诗" * (MAX_REQUEST_CHARS + 1))


def test_blanks_around_a_request_do_not_count() -> None:
    assert writing_task("\n 写一首诗 " + " " * MAX_REQUEST_CHARS).request == "写一首诗"


@pytest.mark.parametrize("binary", ["写一首诗\x00", "\x00", "写一首\udc80诗"])
def test_bytes_that_are_no_text_are_refused(binary: str) -> None:
    with pytest.raises(InputError, match="got binary data"):
        writing_task(binary)


def test_a_task_knows_its_language_and_genre() -> None:
    assert writing_task("写一首关于海的诗") == WritingTask(
        request="写一首关于海的诗", language="zh", genre="poem"
    )
    english = writing_task("Write a short story about the sea and the people who live by it.")
    assert (english.language, english.genre) == ("en", "story")


@pytest.mark.parametrize(
    ("request_text", "genre"),
    [
        ("Write a haiku about rain", "poem"),
        ("Two sonnets, please", "poem"),
        ("Song lyrics for a rainy day", "song"),
        ("A MONOLOGUE for an old actor", "script"),
        ("Three stories about dogs", "story"),
        ("An email to my landlord", "letter"),
        ("An e-mail to my landlord", "letter"),
        ("A toast for the bride", "speech"),
        ("A critique of the new museum", "review"),
        ("A tagline for our tea", "advertisement"),
        ("My memoir of the war", "essay"),
        ("A blog about gardening", "article"),
        ("Describe the harbour at dawn", "writing"),
        ("写一首七言绝句", "poem"),
        ("一段歌词，关于夏天", "song"),
        ("创作一个小品", "script"),
        ("给孩子写一篇童话", "story"),
        ("写一封信给外婆", "letter"),
        ("婚礼致辞", "speech"),
        ("写一篇影评", "review"),
        ("为新茶写一句广告", "advertisement"),
        ("读后感一篇", "essay"),
        ("一则新闻", "article"),
        ("描写清晨的港口", "writing"),
    ],
)
def test_the_genre_is_read_in_english_and_chinese(request_text: str, genre: str) -> None:
    assert genre_of(request_text) == genre


def test_every_genre_is_among_the_examples_above() -> None:
    genres = {
        genre
        for mark in test_the_genre_is_read_in_english_and_chinese.pytestmark  # type: ignore[attr-defined]
        for _, genre in mark.args[1]
    }
    assert genres == {*GENRES, "writing"}


def test_the_first_genre_that_is_named_wins() -> None:
    assert genre_of("Write a letter about a poem") == "letter"
    assert genre_of("Write a poem about a letter") == "poem"
    assert genre_of("以书信的形式写一首诗") == "letter"


@pytest.mark.parametrize(
    "request_text",
    [
        "Describe a model reader",
        # one character beyond ASCII must not turn off the borders of words
        "Describe a model’s day",
        "Describe a paragraph — read it",
        "描写一位 model reader",
    ],
)
def test_a_genre_inside_another_word_is_none(request_text: str) -> None:
    assert genre_of(request_text) == "writing"


def test_a_genre_may_touch_writing_of_the_other_script() -> None:
    assert genre_of("写一首poem吧") == "poem"
    assert genre_of("为App写文案") == "advertisement"
    assert genre_of("做一份PPT文案") == "advertisement"


def test_a_long_request_is_cut_at_the_top_of_prompts_and_kept_in_the_task() -> None:
    task = WritingTask(request="x" * BRIEF_CHARS + " and more", language="en")
    assert task.brief == "x" * BRIEF_CHARS + " […]"
    assert WritingTask(request="x" * BRIEF_CHARS, language="en").brief == "x" * BRIEF_CHARS
    assert task.request.endswith("and more")
