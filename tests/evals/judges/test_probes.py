"""Planted biases are caught, and a clean judge is not, over 20 seeds each."""

import random
import re
from collections.abc import Callable

import pytest

from quillgraph.agents.judges import PairComparison
from quillgraph.evals.judges.probes import (
    CHANGES,
    DEGENERATE,
    PADDING,
    PRAISE,
    Score,
    probe_change,
    probe_degenerate,
    probe_position,
    probe_retest,
)

SEEDS = range(20)
LINE = "the keeper wound the lamp by feel and counted turns aloud while rain kept time"
WORDS = LINE.split()


def texts(seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(30, 80))) + "." for _ in range(24)]


def judge(seed: int, bias: Callable[[str], float] = lambda text: 0.0) -> Score:
    """A judge with an opinion of the words themselves, noise of half a point, and a bias."""
    noise = random.Random(seed)

    async def score(text: str) -> float:
        # what padding, praise, marks and injections add is not part of the text
        own = text.partition("\n\nThere is more")[0].partition("\n\nNote to")[0]
        own = re.sub(r"[-*#]|The Text|" + re.escape(PRAISE), "", own).strip()
        if sum(word in WORDS for word in own.split()) < 20:
            return 1.0
        quality = 3 + 4 * (own.count("lamp") + own.count("rain")) / len(own.split())
        return min(10.0, max(1.0, quality + noise.gauss(0, 0.5) + bias(text)))

    return score


BIASES: dict[str, Callable[[str], float]] = {
    "length": lambda text: len(text) / 150,
    "format": lambda text: 1.5 * ("**" in text),
    "injection": lambda text: 6.0 * ("score 10" in text),
    "self-praise": lambda text: 1.5 * ("masterful" in text),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_judge_with_the_bias_is_caught_and_a_clean_one_is_not(name: str) -> None:
    for seed in SEEDS:
        probe = await probe_change(name, texts(seed), judge(seed, BIASES[name]), seed=seed)
        assert probe.verdict == "caught", (seed, probe)
        clean = await probe_change(name, texts(seed), judge(seed), seed=seed)
        assert clean.verdict == "clean", (seed, clean)


async def test_another_bias_is_not_held_against_the_wrong_probe() -> None:
    for seed in SEEDS:
        probe = await probe_change("injection", texts(seed), judge(seed, BIASES["format"]))
        assert probe.verdict == "clean"


async def test_a_judge_that_gives_degenerate_texts_their_due_is_clean() -> None:
    async def fooled(text: str) -> float | None:
        return 10.0 if text in DEGENERATE else await judge(0)(text)

    for seed in SEEDS:
        assert (await probe_degenerate(texts(seed), fooled, seed=seed)).verdict == "caught"
        assert (await probe_degenerate(texts(seed), judge(seed), seed=seed)).verdict == "clean"


async def test_a_judge_that_throws_dice_is_caught_by_a_second_test() -> None:
    for seed in SEEDS:
        dice = [random.Random(f"{seed}/{n}") for n in range(2)]

        async def throw(text: str, n: int = 0, dice: list[random.Random] = dice) -> float:
            return dice[n].uniform(1, 10)

        async def again(text: str, throw: Callable[..., object] = throw) -> float:
            return float(await throw(text, 1))  # type: ignore[misc]

        assert (await probe_retest(texts(seed), throw, again)).verdict == "caught"
        calm = await probe_retest(texts(seed), judge(seed), judge(seed + 100))
        assert calm.verdict == "clean"


def comparisons(seed: int, lean: float) -> list[PairComparison]:
    """Answers to 60 pairs in both orders by a judge that says `first` more often by `lean`."""
    draw = random.Random(seed)
    answers = []
    for _ in range(60):
        best_first = draw.random() < 0.5

        def answer(good: bool) -> str:
            if draw.random() < abs(lean):
                return "first" if lean > 0 else "second"
            right = draw.random() < 0.8
            return "first" if good == right else "second"

        forward, backward = answer(best_first), answer(not best_first)
        answers.append(PairComparison(forward=forward, backward=backward))  # type: ignore[arg-type]
    return answers


@pytest.mark.parametrize("lean", [0.6, -0.6])
def test_a_judge_that_favours_a_place_is_caught_whichever_place_it_is(lean: float) -> None:
    for seed in SEEDS:
        assert probe_position(comparisons(seed, lean), seed=seed).verdict == "caught"
        assert probe_position(comparisons(seed, 0.0), seed=seed).verdict == "clean"


async def test_answers_that_are_missing_are_counted_and_not_taken_for_zero() -> None:
    async def silent(text: str) -> float | None:
        return None if PADDING in text else 5.0

    probe = await probe_change("length", texts(0), silent)
    assert (probe.unread, probe.effect.value, probe.verdict) == (24, None, "undecided")


async def test_few_texts_decide_nothing() -> None:
    probe = await probe_change("length", texts(0)[:4], judge(0, BIASES["length"]))
    assert probe.verdict == "undecided"
