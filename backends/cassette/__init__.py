"""Record the calls of a run, and replay them without a model."""

from quillgraph.backends.cassette.recorder import refuse_existing

__all__ = [
    "refuse_existing",
]
