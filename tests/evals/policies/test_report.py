"""Policies side by side, with numbers computed by hand."""

import random
from typing import Any

import pytest

from quillgraph.agents.judges import PairComparison, PairPlace
from quillgraph.evals.measures.intervals import Estimate
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, WrittenText
from quillgraph.evals.policies.report import (
    Entrant,
    PolicyReport,
    Win,
    is_refusal,
    length_controlled_win_rate,
    mean_win,
    measure_names,
    policy_report,
    repetition,
    self_similarity,
)

ANSWERS: dict[str, tuple[PairPlace | None, PairPlace | None]] = {
    "left": ("first", "second"),
    "right": ("second", "first"),
    "tie": ("tie", "tie"),
    "order": ("first", "first"),
    "unread": ("first", None),
}


def text(policy: str, prompt: str, number: int, words: str = "A line.", **more: Any) -> WrittenText:
    return WrittenText(policy=policy, prompt=prompt, number=number, text=words, **more)


def scored(policy: str, prompt: str, number: int, **measures: Any) -> ScoredText:
    return ScoredText(policy=policy, prompt=prompt, number=number, **measures)


def compared(prompt: str, number: int, answer: str, longer: int = 0, **more: Any) -> ComparedTexts:
    forward, backward = ANSWERS[answer]
    comparison = PairComparison(forward=forward, backward=backward)
    place: dict[str, Any] = {"policy": "B", "prompt": prompt, "number": number}
    return ComparedTexts(**place, comparison=comparison, longer=longer, **more)


def of(
    texts: list[WrittenText] | None = None,
    scores: list[ScoredText] | None = None,
    comparisons: list[ComparedTexts] | None = None,
    names: str = "AB",
) -> PolicyReport:
    tested = [Entrant(name=name, spec=name, texts=1, tokens=1) for name in names]
    about = {"data": "d", "judge": "j", "criteria": "c", "texts": 2}
    return policy_report(tested, texts or [], scores or [], comparisons or [], about=about)


def value(estimate: Estimate) -> float | None:
    return estimate.value if estimate.value is None else round(estimate.value, 9)


def test_means_are_over_prompts_and_differences_over_those_that_both_have() -> None:
    scores = [
        scored("A", "p", 0, soft=0.2), scored("A", "p", 1, soft=0.4),  # p: .3
        scored("A", "q", 0, soft=0.9),  # q: .9
        scored("B", "p", 0, soft=0.5), scored("B", "p", 1, missing="unread"),  # p: .5
        scored("B", "r", 0, soft=0.1),  # r: .1
    ]  # fmt: skip
    soft = of(scores=scores).measures["soft"]
    assert value(soft["A"]) == 0.6  # (.3 + .9) / 2, not (.2 + .4 + .9) / 3
    assert value(soft["B"]) == 0.3
    assert value(soft["B-A"]) == 0.2  # p alone: .5 - .3
    assert (soft["A"].clusters, soft["B-A"].clusters) == (2, 1)


def test_what_code_sees_of_texts_by_hand() -> None:
    texts = [
        text("A", "p", 0, "one two three", prompt_tokens=5, completion_tokens=3, is_cut=True),
        text("A", "p", 1, "one two four", prompt_tokens=5, completion_tokens=4),
        text("A", "q", 0, "I'm sorry, but I can't write that.", prompt_tokens=1),
        text("A", "q", 1, failure="no answer"),
    ]
    scores = [
        scored("A", "p", 0, hard=1.0), scored("A", "p", 1, hard=0.5),
        scored("A", "q", 0, gate="a list of keywords"),
    ]  # fmt: skip
    measures = of(texts, scores, names="A").measures
    # 3 and 3 words, and 7: "I'm" and "can't" are one word each
    assert value(measures["words"]["A"]) == 5.0
    assert value(measures["tokens"]["A"]) == 4.75  # ((8 + 9) / 2 + 1) / 2
    assert value(measures["cut"]["A"]) == 0.25  # (1/2 + 0) / 2
    assert value(measures["refusals"]["A"]) == 0.5  # (0 + 1) / 2
    assert value(measures["turned_away"]["A"]) == 0.5  # (0 + 1) / 2
    assert value(measures["hard"]["A"]) == 0.75  # p alone: q makes no demands
    # one-two, two-three, one-two-three and one-two, two-four, one-two-four: 1 of 5 in common
    assert value(measures["diversity"]["A"]) == 0.8
    assert measures["diversity"]["A"].clusters == 1
    assert "win_rate" not in measures


def test_wins_by_hand() -> None:
    measures = of(
        comparisons=[
            compared("p", 0, "left"),
            compared("p", 1, "order"),  # the place decided: a tie
            compared("q", 0, "right"),
            compared("q", 1, "unread", missing="m"),  # no tie: nothing
            compared("r", 0, "left", is_judged=False),
        ]
    ).measures
    wins = measures["win_rate"]["B"]
    assert value(wins) == 0.625  # (1 + 1/2 + 0 + 1) / 4
    assert wins.clusters == 3
    # equal lengths: nothing to be taken off
    assert measures["length_controlled_win_rate"]["B"].value == wins.value
    # of those that were judged: left and right yes, order no
    assert value(measures["order_consistency"]["B"]) == pytest.approx(2 / 3)


def test_wins_that_length_explains_are_taken_off() -> None:
    rows = [
        compared(f"p{n}", 0, "left" if n % 4 else "right", longer=100 if n % 4 else -100)
        for n in range(40)
    ]
    measures = of(comparisons=rows).measures
    assert measures["win_rate"]["B"].value == 0.75
    fair = measures["length_controlled_win_rate"]["B"].value
    assert fair is not None
    assert 0.5 < fair < 0.65  # the ridge keeps the slope finite, so a little is left


def test_everything_that_is_in_no_measure_is_counted_by_policy_and_reason() -> None:
    measures = of(
        [text("A", "p", 0, failure="no answer"), text("A", "q", 0, failure="no answer")],
        [scored("B", "p", 0, missing="unread"), scored("B", "q", 0, soft=1.0)],
        [compared("p", 0, "unread", missing="unread")],
    )
    assert measures.excluded == {
        "A: no text: no answer": 2,
        "B: no score: unread": 1,
        "B: no winner: unread": 1,
    }
    assert measures.measures["words"]["A"] == Estimate(value=None)


def test_requirements_can_be_read_before_there_is_a_report() -> None:
    rows = [text("A", "p", 0), text("B", "p", 0)]
    measures = of(rows, comparisons=[compared("p", 0, "left")])
    assert set(measures.flat) == set(measure_names(["A", "B"]))
    assert measures.flat["B.win_rate"].value == 1.0
    assert measures.flat["B-A.words"].value == 0.0


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
