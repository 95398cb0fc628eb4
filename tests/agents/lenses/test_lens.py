"""Sensitizing concepts."""

import re
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from quillgraph.agents.checks.language import PhraseKind
from quillgraph.agents.domain import LEVELS
from quillgraph.agents.lenses.anchors import worded_levels
from quillgraph.agents.lenses.lens import IDENTITIES, SHORTLIST, Lens, lenses, near
from quillgraph.agents.lenses.reading import MOST_READINGS, PHRASES_PER_LENS, readings
from quillgraph.backends.embeddings import LexicalEmbeddings

EVERY = [
    pytest.param(lens, id=f"{tongue}-{lens.id}")
    for tongue in ["en", "zh"]
    for lens in lenses(tongue)
]


@pytest.mark.parametrize("lens", EVERY)
def test_both_poles_of_every_lens_speak_of_the_phrase(lens: Lens) -> None:
    dimension = lens.of("a {curly} “sea”")
    assert dimension.name == f"{lens.name}: a {{curly}} “sea”"
    for pole in (dimension.low_pole, dimension.high_pole):
        # formatted once: braces of the phrase survive, and no place stays open
        assert "a {curly} “sea”" in pole
        assert "{words}" not in pole
        # it is the predicate of "The text …"
        assert not pole.endswith((".", "。"))
    assert dimension.low_pole != dimension.high_pole


@pytest.mark.parametrize("lens", EVERY)
def test_the_cues_of_every_lens_compile_and_call_for_nothing_in_an_empty_text(lens: Lens) -> None:
    assert re.compile(lens.cues, re.IGNORECASE).search("") is None


def test_both_languages_have_the_same_lenses_in_words_of_their_own() -> None:
    english, chinese = lenses("en"), lenses("zh")
    assert [(lens.id, lens.identity) for lens in english] == [
        (lens.id, lens.identity) for lens in chinese
    ]
    assert all(lens.name.isascii() for lens in english)
    assert all(re.search("[\u4e00-\u9fff]", f"{x.name}{x.high}{x.low}") for x in chinese)
    assert lenses("fr") == english


def test_ids_and_names_are_unique_and_every_identity_has_a_shortlist() -> None:
    for tongue in ("en", "zh"):
        table = lenses(tongue)
        assert len({lens.id for lens in table}) == len(table)
        # names become labels of codes, and equal labels are merged
        assert len({lens.name for lens in table}) == len(table)
        for identity in IDENTITIES:
            assert sum(lens.identity == identity for lens in table) >= SHORTLIST


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_every_lens_is_cued_in_both_languages(tongue: str) -> None:
    script = "[\u4e00-\u9fff]" if tongue == "zh" else "[a-z]"
    assert all(re.search(script, lens.cues) for lens in lenses(tongue))


async def test_a_cue_outweighs_any_nearness(placed: Callable[..., Embeddings]) -> None:
    # "Meaning" has no cue here but lies on the passage; "Humour" is cued and lies opposite
    def place(text: str) -> tuple[float, float]:
        if text.startswith("Humour:"):
            return (-1, 0)
        return (1, 0) if text.startswith(("Meaning:", "a funny")) else (0, 1)

    nearest = await near("a funny thing", "reader", "en", placed(place))
    # those without a cue are left out where one has it
    assert [lens.id for lens in nearest] == ["humour"]


async def test_two_cues_outweigh_one_and_more_than_two_count_as_two(
    placed: Callable[..., Embeddings],
) -> None:
    def place(text: str) -> tuple[float, float]:
        return (1, 0) if text.startswith(("Curiosity:", "Humour:", "a sad")) else (0, 1)

    # feeling is called for three times, curiosity twice, humour once: 4 + 0, 4 + 1, 2 + 1
    nearest = await near(
        "a sad and lonely love, a secret, a mystery, a joke", "reader", "en", placed(place)
    )
    assert [lens.id for lens in nearest] == ["curiosity", "feeling", "humour"]


async def test_without_a_cue_the_nearest_lenses_are_offered(
    placed: Callable[..., Embeddings], turned: Callable[[float], tuple[float, float]]
) -> None:
    nearness = {"Mood": 0.9, "Meaning": 0.8, "Humour": 0.7}

    def place(text: str) -> tuple[float, float]:
        return (1, 0) if text == "xyz" else turned(nearness.get(text.split(":")[0], 0.1))

    nearest = await near("xyz", "reader", "en", placed(place), count=3)
    assert [lens.id for lens in nearest] == ["mood", "meaning", "humour"]


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_only_lenses_of_the_identity_are_near(identity: str) -> None:
    for text in ("a poem for my daughter about the sea", "xyz", ""):
        nearest = await near(text, identity, "en", LexicalEmbeddings())
        assert 1 <= len(nearest) <= SHORTLIST
        assert {lens.identity for lens in nearest} == {identity}


async def test_chinese_requests_call_for_lenses_too() -> None:
    nearest = await near("写得幽默一点", "reader", "zh", LexicalEmbeddings())
    assert [lens.name for lens in nearest] == ["幽默"]


@pytest.fixture
def by_id() -> dict[str, Lens]:
    return {lens.id: lens for lens in lenses("en")}


def test_a_lens_is_turned_on_the_phrase_behind_its_cue(by_id: dict[str, Lens]) -> None:
    passage = "set it in a lighthouse, told by an old keeper of bees"
    offered = readings(passage, [by_id["setting"]], ["lighthouse", "old keeper of bees"])
    assert [(r.dimension.name, r.cued) for r in offered] == [("Setting: lighthouse", True)]


def test_a_phrase_may_hold_the_cue_itself(by_id: dict[str, Lens]) -> None:
    offered = readings("a walk through the old city", [by_id["setting"]], ["walk", "old city"])
    assert [(r.words, r.cued) for r in offered] == [("old city", True)]


def test_without_a_cue_a_lens_is_turned_on_the_first_phrases(by_id: dict[str, Lens]) -> None:
    offered = readings("one two three", [by_id["meaning"]], ["one", "two", "three"])
    assert [(r.words, r.cued) for r in offered] == [("one", False), ("two", False)]
    assert len(offered) == PHRASES_PER_LENS


def test_a_phrase_from_elsewhere_is_never_cued(by_id: dict[str, Lens]) -> None:
    offered = readings("a moral thing", [by_id["meaning"]], ["lighthouse"])
    assert [(r.words, r.cued) for r in offered] == [("lighthouse", False)]


def test_readings_are_offered_once_and_not_without_end(by_id: dict[str, Lens]) -> None:
    lens = by_id["meaning"]
    assert len(readings("x", [lens, lens], ["one", "one"])) == 1
    assert len(readings("x", list(by_id.values()), ["one", "two"])) == MOST_READINGS


def test_a_reading_of_a_chinese_passage_quotes_it() -> None:
    lens = next(lens for lens in lenses("zh") if lens.id == "setting")
    [reading] = readings("故事发生在海边的小城市里", [lens], ["小城市"])
    assert reading.cued
    assert reading.dimension.name == "场景：小城市".replace("：", ": ")
    assert "“小城市”" in reading.dimension.high_pole


async def test_near_asks_for_the_passage_first(placed: Callable[..., Embeddings]) -> None:
    seen: list[str] = []

    def place(text: str) -> tuple[float, float]:
        seen.append(text)
        return (1, 0)

    await near("xyz", "editor", "en", placed(place))
    editors = [lens for lens in lenses("en") if lens.identity == "editor"]
    assert seen[0] == "xyz"
    assert len(seen) == 1 + len(editors)
    assert np.all(["{words}" not in text for text in seen])


# --- levels ----------------------------------------------------------------------------------

SCOPE = {
    "en": (
        r"throughout|in most places|in some places|in others|in more than one place|in one place"
        r"|nowhere|from first to last|from the first line to the last|from start to finish"
        r"|all the way through|in every \w+|again and again|once\b|always|never|everywhere"
        r"|without doubt|by and large|in part\b|after the first lines"
    ),
    "zh": (
        r"全文|自始至终|从头到尾|始终|多数地方|有的地方|不止一处|只有一处|每一句|每一段|时断时续|哪怕"
        r"|一下子|处处|无疑|大体上|就一部分而言|就另一部分而言|在一定程度上"
    ),
}
"""Phrases that say where, how often or how far."""


@pytest.mark.parametrize("pitfall", [False, True])
@pytest.mark.parametrize("tongue", ["en", "zh"])
@pytest.mark.parametrize("words", ["lighthouse", "do not end with a moral"])
def test_no_clause_of_a_level_says_twice_how_far_it_goes(
    tongue: str, pitfall: bool, words: str
) -> None:
    for lens in lenses(tongue):
        dimension = lens.of(words)
        for pole in (dimension.low_pole, dimension.high_pole):
            assert not re.search(SCOPE[tongue], pole, re.IGNORECASE), pole
        levels = worded_levels(dimension, tongue, pitfall=pitfall)
        assert tuple(levels) == LEVELS
        assert len(set(levels.values())) == 5
        for level in levels.values():
            halves = re.split("[;；]", level)
            assert all(len(re.findall(SCOPE[tongue], h, re.I)) <= 1 for h in halves), level


@pytest.mark.parametrize("lens", EVERY)
def test_only_a_spread_lens_is_graded_by_places_and_a_rule_by_doubt(lens: Lens) -> None:
    tongue = "en" if lens.name.isascii() else "zh"
    levels = worded_levels(lens.of("X"), tongue, pitfall=False)
    by_places = re.search("Throughout|全文", levels["1-2"]) is not None
    assert by_places == (lens.levels == "spread")
    assert (lens.levels == "rule") == (lens.fits == ("ban",))


# --- what a lens fits ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(PhraseKind))
def test_something_fits_every_kind_of_phrase(kind: PhraseKind) -> None:
    assert any(kind in lens.fits for lens in lenses("en"))


def test_a_lens_is_turned_on_what_it_fits_alone(by_id: dict[str, Lens]) -> None:
    offered = readings("xyz", [by_id["character"]], ["wedding toast", "two rival bakers"])
    assert [reading.words for reading in offered] == ["two rival bakers"]
    assert readings("xyz", [by_id["character"]], ["wedding toast"]) == ()
