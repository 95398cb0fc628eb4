"""Guards that stop a run whose reward rises while its texts get worse (`ALGORITHM.md` 6.3.11)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.judges import PromptedPairJudge
from quillgraph.agents.role import Role
from quillgraph.rl.config.requests import prompt_of
from quillgraph.rl.monitors.evaluation import write_texts
from quillgraph.rl.monitors.log import Lines
from quillgraph.rl.monitors.watch import TextMonitor
from quillgraph.rl.rewards.rules import RewardedText
from quillgraph.rl.run.run import Run

ALARMS = 2
"""Alarms in a row that stop a run."""


async def win_rate(
    tasks: Sequence[WritingTask], texts: Sequence[str], others: Sequence[str], judge: Role
) -> float | None:
    """Share of requests on which a judge without criteria prefers a text to the other one.

    A comparison whose result depends on the order counts as half a win. None where the judge
    decides no comparison: such a judge cannot raise an alarm.
    """
    compare = PromptedPairJudge(judge).compare
    preferences = await asyncio.gather(
        *(compare(*row) for row in zip(tasks, texts, others, strict=True))
    )
    if not any(each.winner in ("left", "right") for each in preferences):
        return None
    worth = {"left": 1.0, "right": 0.0}
    return fmean(worth.get(str(each.winner), 0.5) for each in preferences)


@dataclass(slots=True)
class Divergence:
    """Detects that the reward rises while the win rate falls: reward hacking."""

    least: float
    """Win rate below which a check is an alarm."""
    rewards: list[float] = field(default_factory=list)
    """Mean reward of each step."""
    checks: list[tuple[int, float, float]] = field(default_factory=list)
    """Steps done, recent mean reward, and win rate of each check."""
    FILE = "divergence.json"

    def __call__(self, scored: Sequence[RewardedText]) -> None:
        """Record the rewards of a step, as an observer of the reward function."""
        known = [each.reward.value for each in scored if each.reward.value is not None]
        if known:
            self.rewards.append(fmean(known))

    def check(self, rate: float, window: int) -> bool:
        """Record a win rate, and say whether to stop.

        Args:
            rate: Win rate against the policy before training.
            window: Number of first and of latest steps whose mean rewards are compared.

        Returns:
            Whether to stop the run: in the last `ALARMS` checks the reward had risen and the rate
            was below `least`.
        """
        lately = fmean(self.rewards[-window:]) if self.rewards else 0.0
        self.checks.append((len(self.rewards), lately, rate))
        last = self.checks[-ALARMS:]
        return len(last) == ALARMS and all(self._is_alarm(each, window) for each in last)

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint."""
        state = {"rewards": self.rewards, "checks": self.checks}
        (folder / self.FILE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it back from a checkpoint."""
        state = json.loads((folder / self.FILE).read_text(encoding="utf-8"))
        self.rewards = state["rewards"]
        self.checks = [(int(n), lately, rate) for n, lately, rate in state["checks"]]

    def _is_alarm(self, check: tuple[int, float, float], window: int) -> bool:
        steps, lately, rate = check
        first = fmean(self.rewards[: min(window, max(1, steps // 2))])
        return lately > first and rate < self.least


class Guard(TrainerCallback):  # type: ignore[misc]
    """Compares the policy with the one before training, and stops a run that diverged."""

    def __init__(
        self, run: Run, judge: Role | None, watch: TextMonitor, divergence: Divergence
    ) -> None:
        self._run, self._judge = run, judge
        self._watch, self._divergence = watch, divergence
        self._reference = Lines(run.folder / "guards" / "reference.jsonl")
        self.tripped: str | None = None
        """Why the run was stopped; None if it was not."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save texts of the policy before training."""
        if self._judge and not self._reference.path.exists():
            texts = self._held_out_texts()
            if state.is_world_process_zero:
                self._reference.add([{"text": text} for text in texts])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check for drifts, and every so many steps ask the judge; the first process decides."""
        from accelerate.utils import broadcast_object_list

        is_due = self._judge and state.global_step % self._run.config.guards.pairwise_every == 0
        texts = self._held_out_texts() if is_due else []
        reasons: list[str | None] = [None]
        if state.is_world_process_zero:
            reasons = [self._reason(state.global_step, texts)]
        (self.tripped,) = broadcast_object_list(reasons)
        if self.tripped:
            control.should_save = True
            control.should_training_stop = True

    def _reason(self, step: int, texts: list[str]) -> str | None:
        """Why the run has to stop; None if it may continue."""
        config, drifts = self._run.config.guards, self._watch.drifts()
        if config.stop_on_drift and drifts:
            return "; ".join(drifts.values())
        if not texts or self._judge is None:
            return None
        rate = asyncio.run(win_rate(self._tasks, texts, self._reference_texts(), self._judge))
        if rate is None:
            self._run.tell("the pairwise judge tells no texts apart, so it guards nothing")
            return None
        row = {"stage": "rl", "step": step, "guard/win_rate": rate}
        Lines(self._run.folder / "metrics.jsonl").add([row])
        if not self._divergence.check(rate, config.pairwise_every):
            return None
        return (
            f"the reward has risen, but a judge without criteria prefers the new texts in only "
            f"{rate:.0%} of cases, {ALARMS} checks in a row"
        )

    @property
    def _tasks(self) -> tuple[WritingTask, ...]:
        return self._run.requests.held_out[: self._run.config.guards.prompts]

    def _held_out_texts(self) -> list[str]:
        prompts = [prompt_of(task, self._run.config.data.prompt) for task in self._tasks]
        batches = write_texts(
            self._run.policy,
            prompts,
            texts=1,
            max_tokens=self._run.config.text_tokens,
            seed=self._run.config.seed,
        )
        return [texts[0] for texts in batches]

    def _reference_texts(self) -> list[str]:
        return [row["text"] for row in self._reference.read()]
