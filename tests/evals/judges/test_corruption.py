import pytest

from quillgraph.agents.criteria import PROBES
from quillgraph.evals.data.records import HumanCriterion, RatedText, RubricRequest
from quillgraph.evals.judges.corruption import worsened, worthless
from quillgraph.evals.judges.probes import DEGENERATE, PADDING, PRAISE

RATED = [
    RatedText(
        id=f"t{n}",
        request="",
        text=f"The keeper wound lamp number {n} by feel. Rain kept time. Nobody counted aloud.",
        scores=(5.0,),
    )
    for n in range(8)
]
ASKED = [
    RubricRequest(
        id="q",
        request="A storm.",
        criteria=(HumanCriterion(name="Storm", description="There is one.", levels={"1": "none"}),),
    )
]


def test_each_text_is_told_with_what_it_was_made_of() -> None:
    spoilt = worthless(RATED, ASKED, 4)
    # four of each of four kinds, the one rubric, and one of each of two kinds without a source
    assert len(spoilt) == 4 * 4 + 1 + 2
    assert {source for _, source in spoilt[:16]} <= {each.id for each in RATED}
    assert ("There is one. none", "q") in spoilt


def test_shuffled_words_are_the_words() -> None:
    text, source = worthless(RATED, ASKED, 4)[0]
    (whole,) = [each.text for each in RATED if each.id == source]
    assert sorted(text.split()) == sorted(whole.split())
    assert text != whole


def test_what_is_added_stands_behind_the_text_as_it_was() -> None:
    for text, each in worsened(RATED, 4):
        assert text.startswith(each.text)
        assert len(text) > len(each.text)


def test_equal_seeds_spoil_alike_and_others_do_not() -> None:
    assert worthless(RATED, ASKED, 4) == worthless(RATED, ASKED, 4, seed=0)
    assert worthless(RATED, ASKED, 4) != worthless(RATED, ASKED, 4, seed=1)


@pytest.mark.parametrize("probe", [*DEGENERATE, *PROBES.values(), PADDING, PRAISE])
def test_what_a_scorer_is_tested_with_it_was_not_trained_on(probe: str) -> None:
    spoilt = [text for text, _ in (*worthless(RATED, ASKED, 8), *worsened(RATED, 8))]
    sentences = [each.strip() for each in probe.split(". ") if len(each) > 20]
    assert not [text for text in spoilt for each in sentences if each in text]
