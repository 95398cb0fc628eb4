from collections.abc import Sequence

import pytest
from langchain_core.embeddings import Embeddings

from quillgraph.evals.measures.matching import WordedCriterion, matched_overlap


class Placed(Embeddings):
    """Places each wording by the numbers in its description."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, text.rpartition(". ")[2].split())) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def words(*places: str) -> Sequence[WordedCriterion]:
    return [
        WordedCriterion(name=f"n{number}", description=place) for number, place in enumerate(places)
    ]


async def test_one_broad_criterion_matches_one_and_not_all() -> None:
    # the automatic one lies at cosine .8 from both, and may be matched once
    overlap = await matched_overlap(words("0.6 0.8"), words("1.0 0.0", "0.0 1.0"), Placed())
    assert (overlap.recall, overlap.precision) == (0.5, 1.0)
    (match,) = overlap.matches
    assert match.human == 1
    assert match.cosine == pytest.approx(0.8)


async def test_the_assignment_is_the_best_as_a_whole_and_not_greedy() -> None:
    # unit vectors at 0°, 40° against 30°, 80°: greedy takes 40°-30° (cos 10°) and leaves 0°-80°
    # (cos .17, not near); as a whole 0°-30° and 40°-80° are better: .87 + .77
    automatic = words("1.0 0.0", "0.766 0.643")
    human = words("0.866 0.5", "0.174 0.985")
    overlap = await matched_overlap(automatic, human, Placed())
    assert {(match.automatic, match.human) for match in overlap.matches} == {(0, 0), (1, 1)}
    assert overlap.recall == 1.0


async def test_a_judge_may_refuse_a_match_or_be_unreadable() -> None:
    async def confirm(a: WordedCriterion, b: WordedCriterion) -> bool | None:
        return {"n0": False, "n1": None}.get(b.name, True)

    same = words("1.0 0.0")
    overlap = await matched_overlap(same, words("1.0 0.0", "1.0 0.1", "1.0 0.2"), Placed(), confirm)
    assert (len(overlap.matches), overlap.refused, overlap.unread) == (1, 1, 1)
    assert overlap.matches[0].human == 2


@pytest.mark.parametrize(("automatic", "human"), [(0, 2), (2, 0), (0, 0)])
async def test_an_empty_side_has_no_share(automatic: int, human: int) -> None:
    overlap = await matched_overlap(
        words(*["1.0 0.0"] * automatic), words(*["1.0 0.0"] * human), Placed()
    )
    assert overlap.recall == (0.0 if human else None)
    assert overlap.precision == (0.0 if automatic else None)


@pytest.mark.parametrize(
    ("name", "description", "text"),
    [
        ("Calm", "It slows down.", "Calm. It slows down."),
        ("Does it slow down", "Does it slow down to sleep?", "Does it slow down to sleep?"),
        ("Is it calm?", "Is it calm?", "Is it calm?"),
    ],
)
def test_a_name_that_was_cut_from_the_description_is_not_said_twice(
    name: str, description: str, text: str
) -> None:
    assert WordedCriterion(name=name, description=description).as_text == text
