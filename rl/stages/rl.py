"""The RL stage: train the policy on the rewards of the criteria (`ALGORITHM.md` 6.5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOTrainer

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.replies import reply_text
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import GuardTripped
from quillgraph.graphs.prebuilt import Submission
from quillgraph.rl.columns import key_of
from quillgraph.rl.config.requests import prompt_of
from quillgraph.rl.cpu_head import score_on_cpu
from quillgraph.rl.monitors.checkpoints import Part
from quillgraph.rl.monitors.guards import Divergence, Guard
from quillgraph.rl.monitors.log import Lines, PromptCounts, RolloutLog
from quillgraph.rl.monitors.timer import Clock
from quillgraph.rl.monitors.watch import TextMonitor
from quillgraph.rl.mrpo.credit import RowCredit
from quillgraph.rl.mrpo.losses import Term, term_of
from quillgraph.rl.mrpo.prompts import PromptSampler
from quillgraph.rl.mrpo.trainer import MRPOTrainer
from quillgraph.rl.processes import processes
from quillgraph.rl.rewards.functions import NAME, checked_values, criteria_reward, guarded
from quillgraph.rl.rewards.joint import CompleteRewards
from quillgraph.rl.rewards.rules import Observer, RewardRules, recount_of
from quillgraph.rl.rollouts.ahead import PromptOrder
from quillgraph.rl.rollouts.lessons import lessoned_run
from quillgraph.rl.rollouts.rollouts import Rollouts
from quillgraph.rl.rollouts.run import RolloutFn as Rollout
from quillgraph.rl.rollouts.run import graph_run, one_call
from quillgraph.rl.run.arguments import rl_arguments
from quillgraph.rl.run.run import Run, function_of, reward_function_of
from quillgraph.rl.stages.reviser import Reviser
from quillgraph.rl.stages.trainer import checkpoints_of, run_trainer, save_policy
from quillgraph.rl.trainers import GroupTrainer
from quillgraph.rl.trajectories.rows import Trajectory


class CompleteGRPOTrainer(CompleteRewards, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO trainer, but that it leaves texts out that lack a reward."""


def rl_stage(run: Run, *, resume: bool) -> None:
    """Train on the criteria's rewards, with MRPO or with TRL's unchanged GRPO.

    Raises:
        GuardTripped: If a guard no longer trusts the reward; the newest checkpoint is complete.
    """
    config = run.config.rl
    assert config is not None
    ledger, watch, clock = PromptCounts(), TextMonitor(run.tell), Clock()
    divergence = Divergence(run.config.guards.least_win_rate)
    parts: list[Part] = [ledger, watch, divergence, _Judgements(run)]
    checkpoints = checkpoints_of(run, "rl", parts)
    args = rl_arguments(run.config, checkpoints.scratch)
    log = RolloutLog(Lines(run.folder / "rollouts.jsonl"))
    observers: list[Observer] = [ledger, watch, divergence, log]
    trainer = rl_trainer(run, args, observers, clock)
    parts += _parts_of(trainer)
    clock.measure(trainer)
    guard = Guard(run, _pairwise_judge(run), watch, divergence)
    trainer.add_callback(ledger)
    trainer.add_callback(guard)

    def extra_metrics() -> dict[str, float]:
        return clock.take() | watch.metrics() | run.scorer.take_counts()

    try:
        run_trainer(run, trainer, "rl", checkpoints, extra_metrics, resume=resume)
    finally:
        if run.engine is not None:
            trainer.rollout_func.close()
    if processes().is_main_process:
        ledger.save(run.folder)
    save_policy(run, trainer, run.folder / "adapter")
    if guard.tripped:
        raise GuardTripped(f"{guard.tripped}; the texts are in {run.folder / 'rollouts.jsonl'}")


def _parts_of(trainer: GroupTrainer) -> list[Part]:
    """Parts of a checkpoint that a trainer needs beside TRL's own state."""
    parts: list[Part] = []
    if isinstance(trainer, MRPOTrainer):
        parts.append(_Memory(trainer))
        if trainer.prompts is not None:
            parts.append(trainer.prompts)
    if isinstance(trainer.rollout_func, Rollouts) and trainer.rollout_func.ahead is not None:
        parts.append(trainer.rollout_func.part())
    return parts


def rl_trainer(run: Run, args: Any, observers: Sequence[Observer], clock: Clock) -> Any:
    """Make TRL's GRPO trainer with its own loss, or ours on top of it.

    Args:
        run: The prepared run.
        args: `rl_arguments` of the run.
        observers: Called with the rewarded texts of each step.
        clock: Measures the parts of a step.

    Raises:
        ConfigError: If the trainer refuses these arguments.
    """
    assert run.config.rl is not None
    is_mrpo, rules = run.config.rl.algorithm == "mrpo", run.rules
    if is_mrpo:  # MRPO applies the gate itself, to fresh and remembered texts together
        rules = rules.model_copy(update={"gate": False})
    rewards = criteria_reward(run.sets, scorer=run.scorer, rules=rules, observers=observers)
    further = map(reward_function_of, run.config.rewards.functions)
    options: dict[str, Any] = {
        "model": run.policy.model,
        "reward_funcs": [rewards, *map(guarded, further)],
        "args": args,
        "train_dataset": Dataset.from_list(run.rows()),
        "processing_class": run.policy.tokenizer,
    }
    prompts: PromptSampler | None = None
    if run.config.rl.prompts == "middling":
        prompts = PromptSampler.of([row["prompt"] for row in run.rows()], args)
    if run.engine is not None:
        ahead = (prompts or PromptOrder()) if run.config.rl.overlap else None
        options["rollout_func"] = _rollouts(run, run.engine, clock, ahead)
    if not is_mrpo:
        trainer = CompleteGRPOTrainer(**options)
        score_on_cpu(trainer)
        return trainer
    by_sha = {each.sha256: each for each in run.sets.values()}
    reflect = None
    if run.engine is None and args.remembers:
        run.tell("no revisions in memory and no SFT anchor: they need an engine (rl.rollouts)")
    elif run.engine is not None and args.remembers:
        reflect = clock.timed(_reviser(run, run.engine, rules, args), "reflect")
    return MRPOTrainer(
        **options,
        recount={NAME: recount_of(by_sha, rules)},
        reflect=reflect,
        credit=_credit(run, by_sha, rules, args),
        prompts=prompts,
        terms=_terms(run),
    )


def _terms(run: Run) -> list[Term]:
    """Terms of the loss that the configuration names."""
    assert run.config.rl is not None
    terms = run.config.rl.terms.items()
    return [term_of(function_of(name, "rl.terms"), weight) for name, weight in terms]


def _credit(
    run: Run, by_sha: dict[str, CriteriaSet], rules: RewardRules, args: Any
) -> RowCredit | None:
    """How advantages are divided; None gives every call of an episode the whole one."""
    stage = run.config.rl
    if stage is None or (stage.credit == "uniform" and not stage.credit_per_role):
        return None
    weight = (args.reward_weights or [1.0])[0]
    return RowCredit(stage.credit, by_sha, rules, stage.credit_per_role, weight)


def _rollouts(
    run: Run, engine: ChatBackend, clock: Clock, ahead: PromptOrder | PromptSampler | None
) -> Rollouts:
    """Make the rollouts of the engine; the judge starts on each text as soon as it is complete."""
    tasks, opened = run.tasks, run.policy.opens_thinking

    def begin(prompt: Any, trajectory: Trajectory) -> None:
        task, text = tasks[key_of(prompt)], trajectory.text
        if text is None:
            ids = trajectory.leading.completion_ids
            reply = run.policy.tokenizer.decode(ids, skip_special_tokens=True)
            text = reply_text(reply, request=task.request, opened=opened).text
        if text is None:  # thinking that was cut off: there is nothing to judge
            return
        run.scorer.begin(Submission(task=task, criteria_set=run.sets[task.request_hash], text=text))

    rollouts = Rollouts(engine, run.folder / "adapters", _rollout_kind(run), begin, ahead=ahead)
    rollouts._sync = clock.timed(rollouts._sync, "sync")  # type: ignore[method-assign]
    return rollouts


def _rollout_kind(run: Run) -> Rollout:
    """The kind of rollout: an episode of a graph, a call with lessons, or a bare call."""
    stage, tasks, kind = run.config.rl, run.tasks, run.config.data.prompt
    if run.graph is not None:
        start = run.graph.start(run.sets)
        return graph_run(run.graph.source, task_for=lambda each: tasks[key_of(each)], start=start)
    if stage is None or stage.lessons is None:
        return one_call
    return lessoned_run(
        stage.lessons.share,
        lambda prompt: run.lessons[tasks[key_of(prompt)].request_hash],
        lambda prompt, lessons: prompt_of(tasks[key_of(prompt)], kind, lessons),
    )


def _reviser(run: Run, engine: ChatBackend, rules: RewardRules, args: Any) -> Reviser:
    functions = [checked_values(reward_function_of(each)) for each in run.config.rewards.functions]
    names = [NAME, *(each.__name__ for each in functions)]
    weights = args.reward_weights or [1.0] * len(names)
    return Reviser(
        writer=Role("writer", engine, run.config.seed, is_learned_from=True),
        tasks=run.tasks,
        sets=run.sets,
        scorer=run.scorer,
        rules=rules,
        max_tokens=run.config.text_tokens,
        functions=functions,
        weights=dict(zip(names, weights, strict=True)),
    )


def _pairwise_judge(run: Run) -> Role | None:
    if run.pairwise is None:
        return None
    return Role("judge", run.pairwise, run.config.seed)


class _Memory:
    """MRPO's memory as a part of a checkpoint."""

    FILE = "memory.json"

    def __init__(self, trainer: MRPOTrainer) -> None:
        self._trainer = trainer

    def save(self, folder: Path) -> None:
        (folder / self.FILE).write_text(json.dumps(self._trainer.state_dict()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        text = (folder / self.FILE).read_text(encoding="utf-8")
        self._trainer.load_state_dict(json.loads(text))


class _Judgements:
    """The judge's cache as a part of a checkpoint."""

    FILE = "judgements.sqlite"

    def __init__(self, run: Run) -> None:
        self._cache = run.scorer.cache

    def save(self, folder: Path) -> None:
        self._cache.save(folder / self.FILE)

    def load(self, folder: Path) -> None:
        self._cache.load(folder / self.FILE)
