"""Fits the head that decides whether a text stays on its subject.

A text for another request serves as the example that does not. Every real text meets criteria
that fit any text, whatever its subject; they are included so that the scorer learns not to count
such a criterion against a text.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Value
from quillgraph.agents.judges import relevance_measures, subject
from quillgraph.backends.embeddings import Vectors
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.data.rubrics import as_criteria, generic_rubric
from quillgraph.evals.extra import from_extra

OTHERS = 6
"""Other requests whose texts test each criterion, drawn by the seed."""

FOLDS = 5


class Relevance(Value):
    """The fitted regression, and its measures on criteria that it was not fitted to."""

    weights: tuple[float, ...]
    """One coefficient for each measure, then the intercept."""
    pair_accuracy: float
    """Share of cases in which the text that meets a criterion scores above a text for another
    request; .5 is chance."""
    passed: float
    """Share of texts that meet a criterion and pass as on its subject."""
    refused: float
    """Share of texts for another request that are recognized as off it."""
    pairs: int


def fit_relevance(
    rubrics: Sequence[RubricRequest],
    texts: Sequence[str],
    embeddings: Embeddings,
    *,
    seed: int = 0,
) -> tuple[Relevance, Vectors]:
    """Fit a logistic regression on the measures of `agents.judges.scorer_folder`.

    Args:
        rubrics: Requests with criteria, and a reference text that meets them.
        texts: Real texts of no known request, which meet criteria that fit any text.
        embeddings: Unit vectors.
        seed: Draws the other requests.

    Returns:
        The regression, and the anchors used to fit it.
    """
    cases = _Cases(rubrics, texts, embeddings, seed)
    fold = np.asarray(cases.fold)
    odds = np.zeros(len(fold))
    for number in range(FOLDS):
        out = fold == number
        odds[out] = _odds(_fitted(cases.rows[~out], cases.meets[~out]), cases.rows[out])
    met = {case: odds[n] for n, case in enumerate(cases.names) if cases.meets[n] and case}
    pairs = [
        (met[case], odds[n]) for n, case in enumerate(cases.names) if case and not cases.meets[n]
    ]
    specific = np.asarray([bool(case) for case in cases.names])
    relevance = Relevance(
        weights=tuple(map(float, _fitted(cases.rows, cases.meets))),
        pair_accuracy=float(np.mean([better > worse for better, worse in pairs])),
        passed=float((odds[specific & cases.meets] > 0).mean()),
        refused=float((odds[specific & ~cases.meets] < 0).mean()),
        pairs=len(pairs),
    )
    return relevance, cases.anchors


class _Cases:
    """Rows of measures, one per text and criterion, each with whether the text meets it."""

    def __init__(
        self,
        rubrics: Sequence[RubricRequest],
        texts: Sequence[str],
        embeddings: Embeddings,
        seed: int,
    ) -> None:
        def placed(words: Sequence[str]) -> Vectors:
            return np.asarray(embeddings.embed_documents(list(words)), np.float32)

        rubrics = [each for each in rubrics if each.criteria and each.reference]
        self.anchors = placed([subject(each) for each in generic_rubric()])
        own = placed([subject(as_criteria(each.criteria)[0]) for each in rubrics])
        requests = placed([each.request for each in rubrics])
        references = placed([str(each.reference) for each in rubrics])
        self._rows: list[Vectors] = []
        self._meets: list[bool] = []
        self.names: list[tuple[int, bool] | None] = []
        """Criterion's number, and whether the request is withheld; None if any text meets it."""
        self.fold: list[int] = []
        draw = np.random.default_rng(seed)
        for n in range(len(rubrics)):
            others = draw.permutation([m for m in range(len(rubrics)) if m != n])[:OTHERS]
            for m in (n, *others):
                for request in (requests[n], None):
                    self._add(references[m], request, own[n : n + 1], m == n, (n, request is None))
                self._add(references[m], requests[n], self.anchors, m == n, None, n)
        for n, text in enumerate(placed(texts)):
            self._add(text, None, self.anchors, True, None, n)
        self.rows, self.meets = np.concatenate(self._rows), np.asarray(self._meets)

    def _add(
        self,
        text: Vectors,
        request: Vectors | None,
        criteria: Vectors,
        meets: bool,
        name: tuple[int, bool] | None,
        n: int = 0,
    ) -> None:
        self._rows.append(relevance_measures(text, request, criteria, self.anchors))
        self._meets += [meets] * len(criteria)
        self.names += [name] * len(criteria)
        self.fold += [(name[0] if name else n) % FOLDS] * len(criteria)


def _fitted(rows: Vectors, meets: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    linear = from_extra("sklearn.linear_model", "heads")
    head = linear.LogisticRegression(C=100.0, max_iter=2000, class_weight="balanced")
    fitted = head.fit(rows, meets)
    return np.append(fitted.coef_[0], fitted.intercept_[0])


def _odds(weights: npt.NDArray[np.float64], rows: Vectors) -> npt.NDArray[np.float64]:
    odds: npt.NDArray[np.float64] = rows @ weights[:-1] + weights[-1]
    return odds
