"""Policies side by side, with numbers computed by hand."""

from typing import Any

import pytest

from quillgraph.agents.judges import PairComparison, PairPlace
from quillgraph.evals.measures.intervals import Estimate
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, WrittenText
from quillgraph.evals.policies.report import Entrant, PolicyReport, measure_names, policy_report

ANSWERS: dict[str, tuple[PairPlace | None, PairPlace | None]] = {
    "left": ("first", "second"),
    "right": ("second", "first"),
    "tie": ("tie", "tie"),
    "order": ("first", "first"),
    "unread": ("first", None),
}


def text(policy: str, prompt: str, number: int, said: str = "A line.", **more: Any) -> WrittenText:
    return WrittenText(policy=policy, prompt=prompt, number=number, text=said, **more)


def scored(policy: str, prompt: str, number: int, **found: Any) -> ScoredText:
    return ScoredText(policy=policy, prompt=prompt, number=number, **found)


def compared(prompt: str, number: int, answer: str, longer: int = 0, **more: Any) -> ComparedTexts:
    forward, backward = ANSWERS[answer]
    found = PairComparison(forward=forward, backward=backward)
    place: dict[str, Any] = {"policy": "B", "prompt": prompt, "number": number}
    return ComparedTexts(**place, comparison=found, longer=longer, **more)


def of(
    texts: list[WrittenText] | None = None,
    scores: list[ScoredText] | None = None,
    comparisons: list[ComparedTexts] | None = None,
    names: str = "AB",
) -> PolicyReport:
    tested = [Entrant(name=name, spec=name, texts=1, tokens=1) for name in names]
    about = {"data": "d", "judge": "j", "criteria": "c"}
    return policy_report(
        tested, texts or [], scores or [], comparisons or [], about=about, texts_each=2
    )


def value(found: Estimate) -> float | None:
    return found.value if found.value is None else round(found.value, 9)


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
    found = of(texts, scores, names="A").measures
    # 3 and 3 words, and 7: "I'm" and "can't" are one word each
    assert value(found["words"]["A"]) == 5.0
    assert value(found["tokens"]["A"]) == 4.75  # ((8 + 9) / 2 + 1) / 2
    assert value(found["cut"]["A"]) == 0.25  # (1/2 + 0) / 2
    assert value(found["refusals"]["A"]) == 0.5  # (0 + 1) / 2
    assert value(found["turned_away"]["A"]) == 0.5  # (0 + 1) / 2
    assert value(found["hard"]["A"]) == 0.75  # p alone: q makes no demands
    # one-two, two-three, one-two-three and one-two, two-four, one-two-four: 1 of 5 in common
    assert value(found["diversity"]["A"]) == 0.8
    assert found["diversity"]["A"].clusters == 1
    assert "win_rate" not in found


def test_wins_by_hand() -> None:
    found = of(
        comparisons=[
            compared("p", 0, "left"),
            compared("p", 1, "order"),  # the place decided: a tie
            compared("q", 0, "right"),
            compared("q", 1, "unread", missing="m"),  # no tie: nothing
            compared("r", 0, "left", is_judged=False),
        ]
    ).measures
    wins = found["win_rate"]["B"]
    assert value(wins) == 0.625  # (1 + 1/2 + 0 + 1) / 4
    assert wins.clusters == 3
    # equal lengths: nothing to be taken off
    assert found["length_controlled_win_rate"]["B"].value == wins.value
    # of those that were judged: left and right yes, order no
    assert value(found["order_consistency"]["B"]) == pytest.approx(2 / 3)


def test_wins_that_length_explains_are_taken_off() -> None:
    rows = [
        compared(f"p{n}", 0, "left" if n % 4 else "right", longer=100 if n % 4 else -100)
        for n in range(40)
    ]
    found = of(comparisons=rows).measures
    assert found["win_rate"]["B"].value == 0.75
    fair = found["length_controlled_win_rate"]["B"].value
    assert fair is not None
    assert 0.5 < fair < 0.65  # the ridge keeps the slope finite, so a little is left


def test_everything_that_is_in_no_measure_is_counted_by_policy_and_reason() -> None:
    found = of(
        [text("A", "p", 0, failure="no answer"), text("A", "q", 0, failure="no answer")],
        [scored("B", "p", 0, missing="unread"), scored("B", "q", 0, soft=1.0)],
        [compared("p", 0, "unread", missing="unread")],
    )
    assert found.excluded == {
        "A: no text: no answer": 2,
        "B: no score: unread": 1,
        "B: no winner: unread": 1,
    }
    assert found.measures["words"]["A"] == Estimate(value=None)


def test_requirements_can_be_read_before_there_is_a_report() -> None:
    rows = [text("A", "p", 0), text("B", "p", 0)]
    found = of(rows, comparisons=[compared("p", 0, "left")])
    assert set(found.flat) == set(measure_names(["A", "B"]))
    assert found.flat["B.win_rate"].value == 1.0
    assert found.flat["B-A.words"].value == 0.0
