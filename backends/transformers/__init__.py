"""Transformers in this process."""

from quillgraph.backends.transformers.hidden_states import HiddenStates, weights_hash

__all__ = [
    "HiddenStates",
    "weights_hash",
]
