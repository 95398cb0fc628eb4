import pytest

from quillgraph.evals.measures.families import family_of_each

KEEPER = "the keeper wound the lamp by feel and counted turns aloud while rain kept time outside"
REVISED = KEEPER.replace("counted turns aloud", "said nothing at all")
OTHER = "a heron stood where the weir had been and nobody in the village could say for how long"


def test_a_text_and_its_revision_are_one_family() -> None:
    assert family_of_each([KEEPER, OTHER, REVISED]) == [0, 1, 0]


def test_a_version_of_a_version_is_of_the_family() -> None:
    middle = f"{KEEPER} {OTHER}"
    assert family_of_each([KEEPER, OTHER, middle]) == [0, 0, 0]


@pytest.mark.parametrize("texts", [[], ["one"], ["", "", "one two three"]])
def test_texts_without_a_run_of_words_stand_alone(texts: list[str]) -> None:
    assert family_of_each(texts) == list(range(len(texts)))
