"""The processes of a run: which one this is, and how it waits for the others."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Notify = Callable[[str], object]
"""Tells the user of a run something, in a line."""


def are_several() -> bool:
    """Whether a launcher has started more than this process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def processes() -> Any:
    """Accelerate's `PartialState`: on the CPU where there is no GPU, else as it finds them."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def in_turn() -> AbstractContextManager[None]:
    """Of several processes the first does the work, and the others find it done."""
    turn: AbstractContextManager[None]
    turn = processes().main_process_first() if are_several() else nullcontext()
    return turn
