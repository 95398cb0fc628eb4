"""What rollouts hand to TRL: its columns, and ours beside them."""

from collections.abc import Sequence
from typing import Any

from quillgraph.backends.errors import QuillError
from quillgraph.rl.columns import EXCLUDED, RIDERS, TEXT, TRAJECTORY
from quillgraph.rl.trajectories.rows import Row, Trajectory

NAMES = ("prompt_ids", "completion_ids", "logprobs", "env_mask")
"""The columns that TRL reads."""


def columns_of(done: Sequence[Trajectory | QuillError], end: int) -> dict[str, list[Any]]:
    """Lay out one row for each prompt; the leading call of a trajectory is its completion.

    Args:
        done: What came of each prompt.
        end: Id of the end token. TRL wants a row also where there is no text: it gets this token,
            masked, which no loss touches.
    """
    names = (*NAMES, RIDERS, EXCLUDED, TEXT, TRAJECTORY)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for each in done:
        trajectory = each if isinstance(each, Trajectory) else None
        why = str(each) if trajectory is None else trajectory.excluded
        learned = trajectory if trajectory is not None and trajectory.rows and why is None else None
        row = ((end,), (end,), (0.0,), (0,)) if learned is None else _row(learned.leading)
        for name, values in zip(NAMES, row, strict=True):
            columns[name].append(list(values))
        columns[RIDERS].append(() if learned is None else learned.riders)
        columns[EXCLUDED].append(why if learned else why or "no call of the policy")
        columns[TEXT].append(None if learned is None else learned.text)
        columns[TRAJECTORY].append(trajectory)
    return columns


def _row(row: Row) -> tuple[Sequence[float], ...]:
    return row.prompt_ids, row.completion_ids, row.logprobs, [*map(int, row.mask)]
