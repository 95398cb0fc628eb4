"""Evaluations in the course of a run."""

from __future__ import annotations

import asyncio
from typing import Any

from transformers import TrainerCallback

from quillgraph.agents.domain import WritingTask
from quillgraph.rl.config.requests import prompt_of
from quillgraph.rl.monitors.evaluation import Evaluation, evaluate, write_texts
from quillgraph.rl.monitors.log import Lines, row_of
from quillgraph.rl.run.run import Run

SAMPLES = "samples.jsonl"
SHOWN = 1
"""Texts that the user is shown for an evaluation."""


class Evaluating(TrainerCallback):  # type: ignore[misc]
    """Tries the policy on held-out requests at the beginning, now and then and at the end."""

    def __init__(self, run: Run, stage: str = "rl") -> None:
        self._run, self._stage = run, stage
        rows = Lines(run.folder / SAMPLES).read()
        self._done = {row["step"] for row in rows if row["stage"] == stage}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the policy that training begins with."""
        if state.global_step == 0:
            self._evaluate(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate in between."""
        every = self._run.config.evaluation.every
        if every and state.global_step % every == 0:
            self._evaluate(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate what has become of it."""
        self._evaluate(state)

    def _evaluate(self, state: Any) -> None:
        if state.global_step in self._done:
            return
        self._done.add(state.global_step)
        # every process writes the texts: a model that is sharded can do nothing by itself
        written = held_out_texts(self._run)
        if written and state.is_world_process_zero:
            run, step = self._run, state.global_step
            tasks = held_out_tasks(run)
            found = evaluate(written, tasks, run.sets, run.scorer, run.rules, step=step)
            keep(run, self._stage, asyncio.run(found))


def held_out_tasks(run: Run) -> tuple[WritingTask, ...]:
    """The requests that evaluations are made on."""
    return run.requests.held_out[: run.config.evaluation.most_requests]


def held_out_texts(run: Run) -> dict[str, list[str]]:
    """Request hash to what the policy writes for it now; empty if nothing is held out."""
    tasks = held_out_tasks(run)
    if not tasks:
        return {}
    written = write_texts(
        run.policy,
        [prompt_of(task, run.config.data.prompt) for task in tasks],
        texts=run.config.evaluation.texts,
        max_tokens=run.config.text_tokens,
        seed=run.config.seed,
    )
    return {task.request_hash: texts for task, texts in zip(tasks, written, strict=True)}


def keep(run: Run, stage: str, found: Evaluation) -> None:
    """Write an evaluation down and tell the user of it."""
    marks = {"stage": stage, "step": found.step}
    Lines(run.folder / "metrics.jsonl").add([{**marks, **found.metrics}])
    Lines(run.folder / SAMPLES).add([{**marks, **row_of(each)} for each in found.scored])
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.metrics.items())
    run.tell(f"held out at step {found.step}: {told}")
    for each in found.scored[:SHOWN]:
        run.tell(f"  {each.task.request[:70]!r} -> {each.text[:120]!r}")
