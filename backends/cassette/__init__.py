"""A run recorded, and played back without a model."""

from quillgraph.backends.cassette.recorder import refuse_existing

__all__ = [
    "refuse_existing",
]
