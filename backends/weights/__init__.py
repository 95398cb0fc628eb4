"""Models and adapters on disk."""

from quillgraph.backends.weights.adapter import check_adapter, rank_for, served_adapter
from quillgraph.backends.weights.builtin import cache_folder, installed, pull, resolve
from quillgraph.backends.weights.pretrained import NumberFormat, from_pretrained

__all__ = [
    "NumberFormat",
    "cache_folder",
    "check_adapter",
    "from_pretrained",
    "installed",
    "pull",
    "rank_for",
    "resolve",
    "served_adapter",
]
