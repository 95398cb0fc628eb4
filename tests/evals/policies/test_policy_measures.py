import random

import pytest

from quillgraph.evals.policies.report import (
    Win,
    is_refusal,
    length_controlled_win_rate,
    mean_win,
    repetition,
    self_similarity,
)


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but I can't write that.", "As an AI, I have no", "抱歉，我不能", "我无法写"],
)
def test_a_text_that_declines_is_a_refusal(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    ["“I'm sorry,” she said, and the lamp went out.", "The keeper cannot sleep.", "她说抱歉。"],
)
def test_a_refusal_within_a_story_is_none(text: str) -> None:
    assert not is_refusal(text)


def test_similarity_by_hand() -> None:
    # "a b c": ab, bc, abc; "a b d": ab, bd, abd; one of five in common
    assert self_similarity(["a b c", "a b d"]) == pytest.approx(1 / 5)
    assert self_similarity(["a b c", "a b c"]) == 1.0
    assert self_similarity(["a b c"]) is None
    assert self_similarity(["a", "b"]) is None


def test_repetition_is_none_in_a_text_that_repeats_nothing() -> None:
    assert repetition("one two three four five six") == 0.0
    assert repetition("la la la la la la la la") > 0.5


def test_a_tie_counts_half() -> None:
    wins = [Win(won=1, longer=0), Win(won=0.5, longer=0), Win(won=0, longer=0)]
    assert mean_win(wins) == 0.5
    assert length_controlled_win_rate(wins) == 0.5
    assert mean_win([]) is None
    assert length_controlled_win_rate([]) is None


def test_wins_that_are_all_length_are_taken_off() -> None:
    draw = random.Random(0)
    wins = []
    for _ in range(400):
        longer = draw.gauss(120, 150)  # this policy writes longer, and longer wins
        wins.append(Win(won=float(longer + draw.gauss(0, 60) > 0), longer=longer))
    raw, fair = mean_win(wins), length_controlled_win_rate(wins)
    assert raw is not None
    assert fair is not None
    assert raw > 0.7
    assert abs(fair - 0.5) < 0.1


def test_wins_that_owe_nothing_to_length_stay() -> None:
    draw = random.Random(1)
    wins = [Win(won=float(draw.random() < 0.7), longer=draw.gauss(0, 100)) for _ in range(400)]
    raw, fair = mean_win(wins), length_controlled_win_rate(wins)
    assert raw is not None
    assert fair == pytest.approx(raw, abs=0.03)
