"""Requests of which each has words of its own, placed by what words they share."""

import numpy as np
import pytest

from quillgraph.agents.judges import relevance_measures
from quillgraph.agents.judges.scorer_folder import MEASURES
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.evals.data.records import HumanCriterion, RubricRequest
from quillgraph.evals.judges.relevance import fit_relevance

pytest.importorskip("sklearn")

THINGS = (
    "lighthouse", "bakery", "telescope", "orchard", "submarine", "violin", "glacier", "parliament",
    "hedgehog", "carousel", "blacksmith", "monsoon", "passport", "chessboard", "cathedral",
    "harvest", "locomotive", "aquarium", "volcano", "umbrella",
)  # fmt: skip
ASKED = [
    RubricRequest(
        id=thing,
        request=f"Write about a {thing} and its {thing} keeper.",
        criteria=(HumanCriterion(name=f"{thing}", description=f"The {thing} is described."),),
        reference=f"The {thing} stood alone. Nobody had ever kept a {thing} as well as she did.",
    )
    for thing in THINGS
]
TEXTS = [f"Nobody came on day {n}, and rain kept time on the window." for n in range(20)]
EMBEDDINGS = LexicalEmbeddings()


def test_a_text_for_another_request_is_told_from_one_that_meets_the_criterion() -> None:
    relevance, _ = fit_relevance(ASKED, TEXTS, EMBEDDINGS)
    # 20 criteria, 6 texts for other requests each, with the request told and without it
    assert relevance.pairs == 20 * 6 * 2
    assert relevance.pair_accuracy > 0.95
    assert relevance.passed > 0.9
    assert relevance.refused > 0.9
    assert len(relevance.weights) == MEASURES + 1


def test_a_criterion_that_fits_any_text_is_not_held_against_one() -> None:
    relevance, anchors = fit_relevance(ASKED, TEXTS, EMBEDDINGS)
    assert anchors.shape == (5, 512)
    (text,) = np.asarray(EMBEDDINGS.embed_documents(["A heron stood where the weir had been."]))
    rows = relevance_measures(text.astype(np.float32), None, anchors, anchors)
    assert (rows @ np.asarray(relevance.weights[:-1]) + relevance.weights[-1] > 0).all()


def test_equal_seeds_fit_alike() -> None:
    one, other = (fit_relevance(ASKED, TEXTS, EMBEDDINGS, seed=3)[0] for _ in range(2))
    assert one == other
