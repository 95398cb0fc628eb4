"""The stages of a training run: SFT and RL.

Names are imported on first use (PEP 562), because their modules load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quillgraph.rl.stages.kept_run import train_in, train_or_check, training_folder
    from quillgraph.rl.stages.pipeline import check, require_packages, train

__all__ = [
    "check",
    "require_packages",
    "train",
    "train_in",
    "train_or_check",
    "training_folder",
]

_PLACES = {
    "check": "pipeline",
    "require_packages": "pipeline",
    "train": "pipeline",
    "train_in": "kept_run",
    "train_or_check": "kept_run",
    "training_folder": "kept_run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
