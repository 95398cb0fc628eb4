"""Counting votes: duels, ties, and what a missing score says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.agents.judgements import Judgement, Missing, Verdict
from quillgraph.agents.judges.votes import Vote, pooled, tally
from quillgraph.backends.errors import InputError

scores = st.dictionaries(st.integers(0, 4), st.integers(1, 10).map(float))
votes = st.lists(st.builds(Vote, st.floats(0.1, 2), scores), max_size=12)


def order(votes: list[Vote], candidates: Any = range(3)) -> list[int]:
    return [standing.candidate for standing in tally(list(candidates), votes)]


def test_the_one_that_wins_most_duels_comes_first() -> None:
    by_score = [
        Vote(1, {0: 9, 1: 5, 2: 1}),
        Vote(1, {0: 2, 1: 3, 2: 1}),
        Vote(1, {0: 1, 1: 8, 2: 9}),
    ]
    # 1 beats 0 by two votes to one and 2 by two to one; 0 beats 2 by two to one
    assert tally([0, 1, 2], by_score)[0].wins == 2
    assert order(by_score) == [1, 0, 2]


def test_a_judge_that_uses_the_whole_scale_counts_no_more_than_one_that_does_not() -> None:
    # the mean of 0 is 4.33, that of 1 is 4.0; two judges of three put 1 first
    assert order(
        [Vote(1, {0: 10, 1: 1}), Vote(1, {0: 1, 1: 5}), Vote(1, {0: 2, 1: 6})], (0, 1)
    ) == [1, 0]


def test_weights_count() -> None:
    assert order([Vote(1, {0: 1, 1: 9}), Vote(0.6, {0: 9, 1: 1})], (0, 1)) == [1, 0]
    assert order([Vote(0.5, {0: 1, 1: 9}), Vote(0.6, {0: 9, 1: 1})], (0, 1)) == [0, 1]


def test_a_text_without_a_score_is_neither_before_nor_behind_any() -> None:
    standings = tally([0, 1, 2], [Vote(1, {0: 9, 2: 1})])
    assert [(s.candidate, s.wins, s.margin) for s in standings] == [
        (0, 1.5, 1.0), (1, 1.0, 0.0), (2, 0.5, -1.0),
    ]  # fmt: skip


def test_without_votes_the_order_of_the_texts_stays() -> None:
    assert order([]) == [0, 1, 2]


@pytest.mark.parametrize("candidates", [[], [1, 1]])
def test_texts_need_numbers_of_their_own(candidates: list[int]) -> None:
    with pytest.raises(InputError, match="expected texts with numbers of their own"):
        tally(candidates, [])


@given(votes, st.randoms())
def test_neither_the_order_of_votes_nor_that_of_texts_matters(cast: list[Vote], draw: Any) -> None:
    shuffled, candidates = list(cast), list(range(5))
    draw.shuffle(shuffled)
    draw.shuffle(candidates)
    assert tally(candidates, shuffled) == tally(range(5), cast)


@given(votes)
def test_duels_share_out_one_point_each_and_margins_cancel(cast: list[Vote]) -> None:
    standings = tally(range(5), cast)
    assert sum(each.wins for each in standings) == 10  # 5·4/2 duels
    assert sum(each.margin for each in standings) == pytest.approx(0)


@given(votes, st.integers(0, 4))
def test_a_text_that_all_put_first_wins(cast: list[Vote], best: int) -> None:
    above = [Vote(vote.weight, {**vote.scores, best: 11}) for vote in cast]
    above.append(Vote(1, {n: 11.0 if n == best else 1.0 for n in range(5)}))
    assert order(above, range(5))[0] == best


@given(votes, st.integers(0, 4), st.integers(0, 11))
def test_more_points_for_a_text_never_put_it_further_back(
    cast: list[Vote], text: int, place: int
) -> None:
    raised = [
        Vote(vote.weight, {**vote.scores, text: 11}) if n == place and text in vote.scores else vote
        for n, vote in enumerate(cast)
    ]
    assert order(raised, range(5)).index(text) <= order(cast, range(5)).index(text)


def verdict(score: float, evidence: str | None = None, criterion: str = "k1") -> Verdict:
    return Verdict(criterion_id=criterion, score=score, votes=(score,), evidence=evidence)


def judgement(judge: str, *verdicts: Verdict, missing: tuple[str, ...] = ()) -> Judgement:
    return Judgement(
        criteria_sha="c",
        text_sha="t",
        judge=judge,
        verdicts=verdicts,
        missing=tuple(Missing(criterion_id=each, reason="lost") for each in missing),
    )


def test_judgements_are_pooled_by_their_medians_with_the_words_of_the_middle_one() -> None:
    merged = pooled(
        [
            judgement("a", verdict(2, "s1")),
            judgement("b", verdict(9, "s2"), missing=("k2",)),
            judgement("c", verdict(5, "s3"), verdict(7, "s1", "k2")),
        ]
    )
    assert merged.scores == {"k1": 5, "k2": 7}
    assert merged.verdicts[0].votes == (2, 9, 5)
    assert merged.verdicts[0].evidence == "s3"
    assert merged.judge == "a and b and c"
    assert merged.missing == ()


def test_what_no_judge_could_read_stays_missing() -> None:
    merged = pooled([judgement("a", missing=("k1",)), judgement("b", missing=("k1",))])
    assert [each.criterion_id for each in merged.missing] == ["k1"]
    assert merged.verdicts == ()
