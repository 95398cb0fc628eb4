"""Logs of a run: metrics, texts, and which requests were trained on."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from quillgraph.backends.calls import JsonLines
from quillgraph.rl.mrpo.plan import NO_SPREAD
from quillgraph.rl.processes import Notify
from quillgraph.rl.rewards.rules import RewardedText

MOST_FLAT = 3
"""Steps in a row without reward differences after which the user gets a warning."""


class Lines:
    """A file of JSON lines that a run appends to, each with its stage and step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = JsonLines(path, "delete the line to go on with the others")

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows.

        Raises:
            StorageError: If the file cannot be written.
        """
        self._file.append(*(json.dumps(row, ensure_ascii=False) for row in rows))

    def read(self) -> list[dict[str, Any]]:
        """The rows, without the last one where a kill cut it off.

        Raises:
            InputError: If any other line cannot be read; the error names it.
        """
        return self._file.read(dict[str, Any]) if self.path.exists() else []

    def rewind(self, stage: str, step: int) -> None:
        """Drop a stage's rows of later steps, which the resumed run writes again."""
        self._file.rewind(lambda row: row["stage"] != stage or row["step"] <= step)


class PromptCounts(TrainerCallback):  # type: ignore[misc]
    """Counts which requests were trained on, and how often.

    It is an observer of the reward function and a part of every checkpoint, so a resumed run has
    the same counts as one that was never killed. Each of several processes rewards a part of a
    step's texts; the end of the step joins their counts.
    """

    FILE = "ledger.json"

    def __init__(self) -> None:
        self.steps: list[tuple[int, dict[str, int]]] = []
        """Step, and request hash to the number of rewarded texts."""
        self._present: list[tuple[int, dict[str, int]]] = []

    def __call__(self, scored: Sequence[RewardedText]) -> None:
        """Count the texts of a step."""
        if scored:
            counts = Counter(each.task.request_hash for each in scored)
            self._present.append((scored[0].step, dict(counts)))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Join the counts of all processes."""
        from accelerate.utils import gather_object

        totals: dict[int, Counter[str]] = {}
        for step, counts in gather_object(self._present):
            totals.setdefault(step, Counter()).update(counts)
        self.steps += [(step, dict(sorted(counts.items()))) for step, counts in totals.items()]
        self._present = []

    @property
    def trained(self) -> Counter[str]:
        """Request hash to the number of rewarded texts, over all steps."""
        total: Counter[str] = Counter()
        for _, counts in self.steps:
            total.update(counts)
        return total

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint or the folder of a run."""
        (folder / self.FILE).write_text(json.dumps(self.steps) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it back from a checkpoint."""
        rows = json.loads((folder / self.FILE).read_text(encoding="utf-8"))
        self.steps = [(step, counts) for step, counts in rows]


class RolloutLog:
    """Logs each rewarded text with its judgement, as an observer of the reward function."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __call__(self, scored: Sequence[RewardedText]) -> None:
        """Write the texts of a step."""
        # texts of step n are learned from in step n + 1, where their metrics are logged too
        rows = [log_row(each) for each in scored]
        self._lines.add([{"stage": "rl", **row, "step": row["step"] + 1} for row in rows])


def log_row(scored: RewardedText) -> dict[str, Any]:
    """A rewarded text as a line of JSON."""
    return {
        "step": scored.step,
        "request": scored.task.request,
        "text": scored.text,
        "value": scored.value,
        "reward": scored.reward.model_dump(mode="json"),
        "scores": scored.judgement.scores,
        "gate": scored.judgement.gate,
        "missing": [entry.reason for entry in scored.judgement.missing],
        **({"aside": scored.aside.model_dump(mode="json")} if scored.aside else {}),
        **({"no_text": scored.no_text} if scored.no_text else {}),
    }


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Writes the trainer's log to `metrics.jsonl`, and shows the user a line for each step."""

    def __init__(
        self, lines: Lines, stage: str, tell: Notify, extra: Callable[[], dict[str, float]]
    ) -> None:
        self._lines, self._stage, self._tell, self._extra = lines, stage, tell, extra
        self._began = time.monotonic()
        self._flat_steps = 0

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write the logged numbers, with the times of the parts of the step."""
        if not state.is_world_process_zero or not logs:
            return
        row = {
            "stage": self._stage,
            "step": state.global_step,
            "elapsed_s": round(time.monotonic() - self._began, 3),
            # no NaN: JSON has none, and what was not measured is absent
            **{
                key: value
                for key, value in logs.items()
                if isinstance(value, int | float) and math.isfinite(value)
            },
            **self._extra(),
        }
        self._lines.add([row])
        if "loss" in logs:
            self._tell(_line(self._stage, state, row))
            self._flat_steps = self._flat_steps + 1 if _is_flat(row) else 0
            if self._flat_steps == MOST_FLAT:
                self._tell(
                    f"warning: for {MOST_FLAT} steps all texts of each request had the same reward "
                    "and nothing was replayed, so nothing was learned; take criteria that tell "
                    "texts apart, a judge for the soft ones, rewards.rules.hard_share > 0, or more "
                    "num_generations"
                )


def _is_flat(row: dict[str, Any]) -> bool:
    """Whether no text of a step had a better reward than others of its group, after the gate."""
    if "groups/spread" in row:
        return row["groups/spread"] < NO_SPREAD and not row["replay/tokens"]
    return bool(row.get("frac_reward_zero_std") == 1)


def _line(stage: str, state: Any, row: dict[str, Any]) -> str:
    names = {
        "reward": "criteria/reward",
        "kept all": "criteria/kept_all",
        "loss": "loss",
        "words": "watch/words",
    }
    parts = [f"{name} {row[key]:.3f}" for name, key in names.items() if key in row]
    return f"{stage} step {state.global_step}/{state.max_steps}: {', '.join(parts)}"
