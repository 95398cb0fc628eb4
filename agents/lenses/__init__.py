"""Sensitizing concepts: what a small model chooses from."""

from quillgraph.agents.lenses.anchors import dimension_of
from quillgraph.agents.lenses.lens import IDENTITIES

__all__ = [
    "IDENTITIES",
    "dimension_of",
]
