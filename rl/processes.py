"""The processes of a run: which one this is, and how they wait for each other."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Notify = Callable[[str], object]
"""Shows the user of a run one line of text."""


def are_several() -> bool:
    """Whether a launcher started several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def processes() -> Any:
    """Accelerate's `PartialState`: on the CPU if there is no GPU, else on detected devices."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def in_turn() -> AbstractContextManager[None]:
    """Run the block in the first process first; the others follow and can reuse its result."""
    turn: AbstractContextManager[None]
    turn = processes().main_process_first() if are_several() else nullcontext()
    return turn
