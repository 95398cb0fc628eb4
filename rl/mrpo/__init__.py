"""MRPO, built on TRL's GRPO trainer.

Names are imported on first use (PEP 562), because their modules load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.losses import Rows, Term
    from quillgraph.rl.mrpo.memory import Revision
    from quillgraph.rl.mrpo.replay import Entry, Replay
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

__all__ = [
    "Entry",
    "MRPOConfig",
    "MRPOTrainer",
    "Replay",
    "Revision",
    "Rows",
    "Term",
]

_PLACES = {
    "Entry": "replay",
    "MRPOConfig": "config",
    "MRPOTrainer": "trainer",
    "Replay": "replay",
    "Revision": "memory",
    "Rows": "losses",
    "Term": "losses",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
