"""Rollouts: where the texts of a training step come from.

Names are imported on first use (PEP 562), because their modules load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

__all__ = [
    "Rollouts",
    "one_call",
]

_PLACES = {
    "Rollouts": "rollouts",
    "one_call": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
