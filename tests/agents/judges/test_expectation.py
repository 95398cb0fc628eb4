"""A score read as an expectation over the tokens that it could have been."""

import math

import pytest

from quillgraph.agents.judges.expectation import expected_scores
from quillgraph.backends.messages import Alternative, Position


def said(text: str) -> Position:
    """A token that the engine was sure of."""
    return Position(text=text, alternatives=(Alternative(text=text, logprob=0.0),))


def among(sampled: str, masses: dict[str, float]) -> Position:
    """A token that could have been others, with the probability of each."""
    found = tuple(Alternative(text=t, logprob=math.log(mass)) for t, mass in masses.items())
    return Position(text=sampled, alternatives=found)


def reply(*score: Position) -> list[Position]:
    return [
        said('{"items":[{"criterion":"q1","'),
        said('score":'),
        *score,
        said(',"reason":"-"}]}'),
    ]


def test_the_mean_over_the_tokens_says_more_than_the_one_sampled() -> None:
    # .5 * 6 + .25 * 7 + .25 * 8 = 6.75
    [score] = expected_scores(reply(among("6", {"6": 0.5, "7": 0.25, "8": 0.25})))
    assert score == pytest.approx(6.75)


def test_what_was_not_reported_is_shared_out() -> None:
    # (.6 * 6 + .2 * 8) / .8 = 5.2 / .8
    [score] = expected_scores(reply(among("6", {"6": 0.6, "8": 0.2})))
    assert score == pytest.approx(6.5)


def test_ten_may_be_one_token() -> None:
    # .5 * 10 + .3 * 9 + .2 * 1 = 7.9: where "10" is a token, a "1" is a one
    [score] = expected_scores(reply(among("10", {"10": 0.5, "9": 0.3, "1": 0.2})))
    assert score == pytest.approx(7.9)


def test_ten_may_be_two_tokens() -> None:
    first = among("1", {"1": 0.8, "9": 0.2})
    # a quarter of the "1" ends there: .8 * .75 * 10 + .8 * .25 * 1 + .2 * 9 = 6 + .2 + 1.8
    [score] = expected_scores(reply(first, among("0", {"0": 0.75, ",": 0.25})))
    assert score == pytest.approx(8.0)
    # also where the judge stopped at the 1: .8 * .1 * 10 + .8 * .9 + 1.8
    ended = among(',"', {',"': 0.9, "0": 0.1})
    [score] = expected_scores([said('{"score":'), first, ended, said('reason":"-"}')])
    assert score == pytest.approx(0.8 + 0.72 + 1.8)


def test_a_one_that_was_not_followed_is_unclear_and_only_a_little_of_it_is_borne() -> None:
    # it may be 1 or 10: .04 of it is left out, .06 is too much
    [little] = expected_scores(reply(among("9", {"9": 0.8, "8": 0.16, "1": 0.04})))
    # (.8 * 9 + .16 * 8) / .96 = 8.48 / .96
    assert little == pytest.approx(8.8333333)
    assert expected_scores(reply(among("9", {"9": 0.8, "8": 0.14, "1": 0.06}))) == [None]


@pytest.mark.parametrize("other", ["seven", '"', "0", "11", "-", " ", "²"])
def test_what_begins_no_score_is_unclear(other: str) -> None:
    assert expected_scores(reply(among("7", {"7": 0.9, other: 0.1}))) == [None]
    [score] = expected_scores(reply(among("7", {"7": 0.97, other: 0.03})))
    assert score == pytest.approx(7.0)


def test_blanks_may_be_part_of_the_digits_token_or_stand_before_it() -> None:
    [inside] = expected_scores(reply(among(" 6", {" 6": 0.5, " 8": 0.5})))
    [before] = expected_scores(reply(said(" "), among("6", {"6": 0.5, "8": 0.5})))
    assert inside == pytest.approx(7.0)
    assert before == pytest.approx(7.0)


def test_a_token_that_holds_more_than_the_score_cannot_be_read() -> None:
    assert expected_scores([said('{"score": 7,"reason":"-"}')]) == [None]
    assert expected_scores([said('{"score"'), said(":7"), said("}")]) == [None]


def test_each_score_of_a_reply_is_read_in_order() -> None:
    two = [
        *reply(among("6", {"6": 0.5, "8": 0.5}))[:-1],
        said('},{"score" : '),
        among("3", {"3": 0.75, "1": 0.25}),
        said("}"),
        said("]}"),
    ]
    # the "1" of the second was not followed: .25 is too much
    assert expected_scores(two) == [pytest.approx(7.0), None]
    two[-3] = among("3", {"3": 0.75, "7": 0.25})
    # .75 * 3 + .25 * 7 = 4
    assert expected_scores(two) == [pytest.approx(7.0), pytest.approx(4.0)]


def test_the_word_score_in_a_reason_is_none() -> None:
    spoken = [said('{"score":'), said("7"), said(',"reason":"a \\"score\\": 9, the score: 9"}')]
    assert expected_scores(spoken) == [pytest.approx(7.0)]


def test_tokens_that_end_inside_a_character_do_not_shift_the_places() -> None:
    spoken = [
        said('{"a":"'),
        said(""),
        said("灯"),
        said('","score":'),
        said(""),
        said("7"),
        said("}"),
    ]
    assert expected_scores(spoken) == [pytest.approx(7.0)]


def test_a_reply_without_tokens_or_a_score_has_none() -> None:
    assert expected_scores([]) == []
    assert expected_scores([said("Thought process:")]) == []
    assert expected_scores([said('{"score":')]) == [None]
