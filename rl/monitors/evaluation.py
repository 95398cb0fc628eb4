"""Evaluation of the policy during a run, on held-out requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import judged, unit
from quillgraph.agents.replies import reply_text
from quillgraph.rl.config.requests import Turns, prompt_of
from quillgraph.rl.monitors.log import Lines, log_row
from quillgraph.rl.rewards.rules import (
    RewardedText,
    RewardRules,
    reward_summary,
    rewarded_group,
)
from quillgraph.rl.rewards.scorer import JudgeQueue
from quillgraph.rl.run.policy import TrainablePolicy
from quillgraph.rl.run.run import Run

BATCH_TOKENS = 16_384
"""Prompt and completion tokens of one batch of generation."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of the policy on the held-out requests at a step."""

    step: int
    scored: tuple[RewardedText, ...]
    untrained: frozenset[tuple[str, str]] = frozenset()
    """Criteria that are not trained on, each as hash of its set and id."""

    @property
    def metrics(self) -> dict[str, float]:
        """Means over all texts, under their names in the log.

        Where criteria were held out, `eval/seen` and `eval/unseen` are the mean scores, from 0 to
        1, on the criteria that are trained on and on the others: a growing gap means overfitting.
        """
        metrics = {f"eval/{k.split('/', 1)[1]}": v for k, v in reward_summary(self.scored).items()}
        scores: dict[str, list[float]] = {"eval/seen": [], "eval/unseen": []}
        for each in self.scored:
            for name, score in each.judgement.scores.items():
                is_unseen = (each.judgement.criteria_sha, name) in self.untrained
                scores["eval/unseen" if is_unseen else "eval/seen"].append(unit(score))
        if self.untrained:
            metrics |= {name: fmean(values) for name, values in scores.items() if values}
        return metrics


def write_texts(
    policy: TrainablePolicy,
    prompts: Sequence[Turns],
    *,
    texts: int,
    max_tokens: int,
    seed: int,
) -> list[list[str]]:
    """Sample texts from the present policy, at temperature 1.

    It leaves the random state of training as it was, so an evaluation does not change the run.

    Args:
        policy: The policy.
        prompts: Conversations that end with the user's turn.
        texts: Texts per prompt.
        max_tokens: Maximum tokens of a text.
        seed: Equal seeds give equal texts.

    Returns:
        The texts of each prompt.
    """
    import torch
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    model: Any = policy.model
    is_sharded = isinstance(model, FSDPModule)
    if is_sharded and "generate" not in vars(model):  # once: registering again would wrap it twice
        # else the root's own parameters, such as the embeddings, are still sharded in `generate`
        register_fsdp_forward_method(model, "generate")
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    rows = [prompt for prompt in prompts for _ in range(texts)]
    outputs: list[str] = []
    longest = max(len(policy.ids(prompt)) for prompt in prompts)
    size = max(1, BATCH_TOKENS // (longest + max_tokens))
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            for start in range(0, len(rows), size):
                batch = policy.padded(rows[start : start + size], device)
                out = model.generate(
                    **batch,
                    max_new_tokens=max_tokens,
                    do_sample=True,
                    temperature=1.0,
                    top_k=0,
                    top_p=1.0,
                    pad_token_id=policy.tokenizer.pad_token_id,
                    synced_gpus=is_sharded,
                )
                new = out[:, batch["input_ids"].shape[1] :]
                outputs += policy.tokenizer.batch_decode(new, skip_special_tokens=True)
    finally:
        model.train(was_training)
    return [
        [text.strip() for text in outputs[start : start + texts]]
        for start in range(0, len(outputs), texts)
    ]


async def evaluate(
    texts: Mapping[str, list[str]],
    tasks: Sequence[WritingTask],
    sets: Mapping[str, CriteriaSet],
    scorer: JudgeQueue,
    rules: RewardRules,
    *,
    step: int,
    opened: bool = False,
) -> Evaluation:
    """Score texts under all their criteria, including those that are not trained on.

    Args:
        texts: Request hash to the texts for it.
        tasks: The held-out requests.
        sets: Request hash to criteria.
        scorer: Judges the texts.
        rules: Reward rules of the run; without dropout, gate and diversity here.
        step: Optimizer steps that the policy has done.
        opened: Whether the prompts end in an opening mark of thinking.
    """
    whole = rules.model_copy(
        update={"dropout": 0.0, "held_out": 0.0, "gate": False, "diversity": 0.0}
    )

    async def of(task: WritingTask) -> list[RewardedText]:
        batch, criteria_set = texts[task.request_hash], sets[task.request_hash]
        replies = [reply_text(each, request=task.request, opened=opened) for each in batch]
        return await rewarded_group(scorer, task, criteria_set, replies, whole, step=step)

    scored = await asyncio.gather(*map(of, tasks))
    untrained = {
        (sets[task.request_hash].sha256, each.id)
        for task in tasks
        for each in judged(sets[task.request_hash].criteria)
        if each.id not in rules.trained(sets[task.request_hash])
    }
    return Evaluation(step, tuple(row for rows in scored for row in rows), frozenset(untrained))


SAMPLES = "samples.jsonl"
SHOWN = 1
"""Texts of an evaluation to show to the user."""


class Evaluating(TrainerCallback):  # type: ignore[misc]
    """Evaluates the policy on held-out requests at the beginning, in between and at the end."""

    def __init__(self, run: Run, stage: str = "rl") -> None:
        self._run, self._stage = run, stage
        rows = Lines(run.folder / SAMPLES).read()
        self._done = {row["step"] for row in rows if row["stage"] == stage}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the policy before training."""
        if state.global_step == 0:
            self._evaluate(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate every so many steps."""
        every = self._run.config.evaluation.every
        if every and state.global_step % every == 0:
            self._evaluate(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the trained policy."""
        self._evaluate(state)

    def _evaluate(self, state: Any) -> None:
        if state.global_step in self._done:
            return
        self._done.add(state.global_step)
        # every process generates: one process cannot run a sharded model alone
        texts = held_out_texts(self._run)
        if texts and state.is_world_process_zero:
            run, step = self._run, state.global_step
            tasks = held_out_tasks(run)
            evaluating = evaluate(
                texts,
                tasks,
                run.sets,
                run.scorer,
                run.rules,
                step=step,
                opened=run.policy.opens_thinking,
            )
            keep_evaluation(run, self._stage, asyncio.run(evaluating))


def held_out_tasks(run: Run) -> tuple[WritingTask, ...]:
    """The held-out requests that evaluations use."""
    return run.requests.held_out[: run.config.evaluation.most_requests]


def held_out_texts(run: Run) -> dict[str, list[str]]:
    """Request hash to texts of the present policy; empty if no request is held out."""
    tasks = held_out_tasks(run)
    if not tasks:
        return {}
    batches = write_texts(
        run.policy,
        [prompt_of(task, run.config.data.prompt) for task in tasks],
        texts=run.config.evaluation.texts,
        max_tokens=run.config.text_tokens,
        seed=run.config.seed,
    )
    return {task.request_hash: texts for task, texts in zip(tasks, batches, strict=True)}


def keep_evaluation(run: Run, stage: str, evaluation: Evaluation) -> None:
    """Write an evaluation to the run's files and show it to the user."""
    marks = {"stage": stage, "step": evaluation.step}
    Lines(run.folder / "metrics.jsonl").add([{**marks, **evaluation.metrics}])
    Lines(run.folder / SAMPLES).add([{**marks, **log_row(each)} for each in evaluation.scored])
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in evaluation.metrics.items())
    run.tell(f"held out at step {evaluation.step}: {numbers}")
    for each in evaluation.scored[:SHOWN]:
        run.tell(f"  {each.task.request[:70]!r} -> {each.text[:120]!r}")
