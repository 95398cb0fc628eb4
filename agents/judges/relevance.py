"""Is a text about what a criterion, and the request, are about?

Nobody has scored texts criterion by criterion in the data that a scorer is trained on, but
BiGGen-Bench gives for each criterion a text that meets it: a text written for another request is
then one that does not. What can be learned of that is whether a text keeps to its subject. A
criterion that names no subject, such as "Language", must not be held against a text: whether one
does is told by how near it stands to criteria that fit any text (the anchors).
"""

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

MEASURES = 7
"""Numbers that `relevance_measures` gives."""


def relevance_measures(
    text_D: Vectors, request_D: Vectors | None, criteria_KD: Vectors, anchors_AD: Vectors
) -> Vectors:
    """Measure how near a text stands to its request and to each criterion.

    Args:
        text_D: Embedding of the text, of length 1, as all of these.
        request_D: Of the request; None where nobody has said what was asked for.
        criteria_KD: Of the criteria.
        anchors_AD: Of criteria that fit any text.

    Returns:
        A row a criterion: whether there is a request; cosine of text and request, and 0 without
        one; of text and criterion; of the criterion and its nearest anchor; and the products of
        the first with the third, and of the fourth with the second and the third.
    """
    asked = float(request_D is not None)
    to_request = 0.0 if request_D is None else float(text_D @ request_D)
    to_criterion_K = criteria_KD @ text_D
    general_K = (criteria_KD @ anchors_AD.T).max(1)
    return np.stack(
        [
            np.full_like(general_K, asked),
            np.full_like(general_K, to_request),
            to_criterion_K,
            general_K,
            asked * to_criterion_K,
            general_K * to_request,
            general_K * to_criterion_K,
        ],
        axis=1,
    )
