"""Columns that rollouts return to TRL: its own and ours."""

from collections.abc import Sequence
from typing import Any

from quillgraph.backends.errors import QuillError
from quillgraph.rl.columns import EXCLUDED, RIDERS, TEXT, TRAJECTORY
from quillgraph.rl.trajectories.rows import Row, Trajectory

NAMES = ("prompt_ids", "completion_ids", "logprobs", "env_mask")
"""The columns that TRL reads."""


def columns_of(done: Sequence[Trajectory | QuillError], end: int) -> dict[str, list[Any]]:
    """Make one row for each prompt; the leading call of a trajectory is its completion.

    Args:
        done: The outcome of each prompt.
        end: Id of the end token. TRL needs a row even without a text: it gets this token, masked,
            which the loss ignores.
    """
    names = (*NAMES, RIDERS, EXCLUDED, TEXT, TRAJECTORY)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for each in done:
        trajectory = each if isinstance(each, Trajectory) else None
        why = str(each) if trajectory is None else trajectory.excluded
        usable = trajectory if trajectory is not None and trajectory.rows and why is None else None
        row = ((end,), (end,), (0.0,), (0,)) if usable is None else _row(usable.leading)
        for name, values in zip(NAMES, row, strict=True):
            columns[name].append(list(values))
        columns[RIDERS].append(() if usable is None else usable.riders)
        columns[EXCLUDED].append(why if usable else why or "no call of the policy")
        columns[TEXT].append(None if usable is None else usable.text)
        columns[TRAJECTORY].append(trajectory)
    return columns


def _row(row: Row) -> tuple[Sequence[float], ...]:
    return row.prompt_ids, row.completion_ids, row.logprobs, [*map(int, row.mask)]
