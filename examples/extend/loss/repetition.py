"""A term of the loss against repetition: unlikelihood of tokens that end a run seen before.

L = Σ -log(1 - π(y_t)) over the tokens that end a 4-gram which the text already has, each with the
weight of a token of TRL's loss. The form is that of unlikelihood training (arXiv:1908.04319). It
acts on the tokens themselves, where a reward for variety acts on whole texts.

In a configuration: `rl: {terms: {repetition.py:repetition: 0.1}}`. In Python:
`MRPOTrainer(..., terms=[Term("repetition", repetition, weight=0.1)])`.
"""

import torch
from torch import Tensor

from quillgraph.rl import Rows

GRAM = 4


def repetition(rows: Rows) -> Tensor:
    """Sum the unlikelihood of repeated tokens over the texts of a micro-batch."""
    repeated_BT = repeats(rows.completion_ids_BT) * rows.mask_BT
    chance_BT = rows.logps_BT.exp().clamp(max=1 - 1e-6)  # log(1 - 1) has no gradient to learn from
    weight_BT = rows.weights_B.unsqueeze(1) * repeated_BT
    return -(torch.log1p(-chance_BT) * weight_BT).sum()


def repeats(ids_BT: Tensor) -> Tensor:
    """Say of each token whether it ends a 4-gram that occurred earlier in its row, 0 or 1."""
    rows = [_repeats(ids) for ids in ids_BT.tolist()]
    return torch.tensor(rows, dtype=torch.float32, device=ids_BT.device)


def _repeats(ids: list[int]) -> list[float]:
    seen: set[tuple[int, ...]] = set()
    marks = [0.0] * len(ids)
    for end in range(GRAM, len(ids) + 1):
        gram = tuple(ids[end - GRAM : end])
        marks[end - 1] = float(gram in seen)
        seen.add(gram)
    return marks
