"""What can be counted in a text: runs of neighbouring words. Counts are tested as checks."""

from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.text.measures import ngrams, tokens, word_count
from quillgraph.agents.text.sentences import sentence_ends


def test_tokens_are_words_without_their_marks_and_single_chinese_characters() -> None:
    text = "Don’t—STOP! … (3.5) 灯塔well-known"
    assert tokens(text) == ["don't", "stop", "3.5", "灯", "塔", "well-known"]
    assert len(tokens(text)) == word_count(text)


def test_ngrams_are_runs_of_neighbours() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a", "b", "c"], 4) == []


def test_equal_words_compare_equal_whatever_their_case_width_and_marks() -> None:
    # width and quotation marks are folded with the case
    assert tokens("“Ｄｏｎ’ｔ!” *stop*") == tokens("don't STOP") == ["don't", "stop"]
    assert tokens("… — !") == []


@given(st.text(alphabet="ab 灯。,-—\n'", max_size=30), st.integers(1, 5))
def test_there_is_a_run_at_each_word_that_has_enough_behind_it(text: str, size: int) -> None:
    words = tokens(text)
    runs = ngrams(words, size)
    assert len(runs) == max(0, len(words) - size + 1)
    assert all(run == tuple(words[n : n + size]) for n, run in enumerate(runs))


def test_long_runs_of_marks_are_read_in_time_that_grows_with_their_length() -> None:
    # a run is looked at once, not once from each of its marks: that would take minutes here
    assert tokens("e" + "*" * 60_000 + "x") == ["e" + "*" * 60_000 + "x"]
    assert list(sentence_ends("." * 60_000 + "x ends. Yes.")) == [60_007, 60_012]
