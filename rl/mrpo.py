"""MRPO on TRL's GRPO trainer: two methods that call TRL's and add what memory teaches.

Nothing of TRL is copied (`ALGORITHM.md` 6.5): `_generate_and_score_completions` sets each fresh
group against memory once TRL has scored it, `_compute_loss` adds the rows beside TRL's batch.
So distribution, checkpoints and trackers are TRL's.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, ClassVar

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # we rest on `rollout_func` knowingly
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # else every trainer of TRL reports itself

import torch
import trl
from accelerate.utils import gather_object
from torch import Tensor
from trl import GRPOTrainer

from quillgraph.agents.domain import CriteriaSet
from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.rl import fresh as reading
from quillgraph.rl import losses
from quillgraph.rl.mrpo_config import MRPOConfig
from quillgraph.rl.planning import Fresh, Group, Rules, plan_step, to_remember
from quillgraph.rl.reflection_round import (
    Reflect,
    Unsatisfying,
    entry_of,
    median,
    wants_revision,
)
from quillgraph.rl.remembering import bare_entry, written
from quillgraph.rl.replay import Replay
from quillgraph.rl.side_rows import SideBatch, SideLoss, SideRow, dealt, side_loss
from quillgraph.rl.step_metrics import step_metrics
from quillgraph.rl.step_rows import memory_rows, rider_rows

TRL_VERSION = "1.16"
LEDGER_PARTS = ("prompts", "replayed", "stored")


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one generation was made of: a line of the ledger of trained prompts."""

    step: int
    prompts: tuple[str, ...]
    """Key of each group's prompt."""
    replayed: tuple[int, ...]
    """Ids of the entries that were replayed beside them."""
    stored: tuple[int, ...]
    """Ids of the entries that were made of them."""


class MRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """Policy optimisation with a memory of good texts, replayed beside each fresh group.

    Takes what `trl.GRPOTrainer` takes. The dataset needs the column `criteria_sha` where anything
    is remembered. A reward function that logs its judgements (`fresh.JUDGEMENT`) makes gate and
    rubric dropout act.

    Args:
        criteria: Criteria sets by hash; needed by rubric dropout.
        reflect: Revises texts of flat and poor groups; what it returns enters memory as
            reflective entries. None for none.
    """

    _tag_names: ClassVar = ["trl", "mrpo"]
    _name = "MRPO"

    def __init__(
        self,
        *arguments: Any,
        criteria: Mapping[str, CriteriaSet] | None = None,
        reflect: Reflect | None = None,
        **options: Any,
    ) -> None:
        if not trl.__version__.startswith(f"{TRL_VERSION}."):
            raise ConfigError(
                f"expected trl {TRL_VERSION}, whose two methods are built upon, got "
                f"{trl.__version__}; pip install 'quillgraph[rl]'"
            )
        super().__init__(*arguments, **options)
        self.criteria = dict(criteria or {})
        self.reflect = reflect
        _check(self)
        self.memory = Replay(self.args.memory_per_prompt, self.args.memory_size)
        self.ledger: list[StepRecord] = []
        self._side: list[SideBatch | None] = []

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside TRL's checkpoint: memory and ledger, as JSON values."""
        return {
            "memory": self.memory.state_dict(),
            "ledger": [asdict(each) for each in self.ledger],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` described."""
        self.memory.load_state_dict(state["memory"])
        self.ledger = [
            StepRecord(
                each["step"], *(tuple(each[name]) for name in ("prompts", "replayed", "stored"))
            )
            for each in state["ledger"]
        ]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._logs["extra"].pop(reading.JUDGEMENT, None)  # a column not logged anew keeps old rows
        out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self._take_behaviour(out)
            self._set_against_memory(inputs, out)
        return out

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if not self.model.training or not self._side:
            return loss
        batch = self._side[self._step % self.args.steps_per_generation]
        return loss if batch is None else loss + self._side_term(model, batch)

    def _take_behaviour(self, out: dict[str, Any]) -> None:
        """The policy that a rollout sampled from is the old one; TRL forgets it outside vLLM."""
        if self.use_vllm or "sampling_per_token_logps" not in out:
            return
        sampled = out["sampling_per_token_logps"]
        if not torch.isfinite(sampled).all():
            raise InputError(
                "expected a finite log-prob for each token of a rollout, got NaN or infinity: "
                "rows without log-probs cannot be trained on"
            )
        out["old_per_token_logps"] = sampled

    def _set_against_memory(self, inputs: list[dict[str, Any]], out: dict[str, Any]) -> None:
        step, size = self.state.global_step, self.num_generations
        mask = written(out)
        texts = self._fresh(inputs, mask)
        groups = [texts[start : start + size] for start in range(0, len(texts), size)]
        stale = sum(self.memory.drop_stale(each[0].prompt, each[0].criteria_sha) for each in groups)
        plans = plan_step(
            groups, self.memory, self._rules(texts), step=step, criteria=self.criteria
        )
        gains = [value for plan in plans for value in plan.advantages]
        first = self.accelerator.process_index * len(inputs)
        if any(plan.is_changed for plan in plans):
            ours = [value or 0.0 for value in gains[first : first + len(inputs)]]
            out["advantages"] = torch.tensor(ours, device=out["advantages"].device)
        self._lay_out(inputs, out, plans, texts, first)
        stored = self._remember(out, mask, texts, plans, first) if self.args.remembers else ()
        if self.reflect and (step + 1) % self.args.reflect_every == 0:
            stored += self._reflect(inputs, out, groups, plans)
        self.ledger.append(
            StepRecord(
                step,
                tuple(plan.prompt for plan in plans),
                tuple(each.entry.id for plan in plans for each in plan.replayed),
                stored,
            )
        )
        told = step_metrics(texts, plans, self.memory, step=step, stale=stale)
        for name, value in told.items():
            self._metrics["train"][name].append(value)

    def _fresh(self, inputs: list[dict[str, Any]], mask: Tensor) -> list[Fresh]:
        weights = dict(zip(self.reward_func_names, self.reward_weights.tolist(), strict=True))
        marks = [
            (each.get(reading.CRITERIA_SHA) or "", each.get(reading.EXCLUDED), int(tokens))
            for each, tokens in zip(inputs, mask.sum(1).tolist(), strict=True)
        ]
        return reading.fresh_texts(self._logs, weights, gather_object(marks))

    def _rules(self, texts: Sequence[Fresh]) -> Rules:
        options, step = self.args, self.state.global_step
        known = [each.reward for each in texts if each.reward is not None]
        is_warm = step >= options.replay_start and bool(known)
        replays = (
            is_warm and options.replay_weight > 0 and fmean(known) >= options.replay_start_reward
        )
        return Rules(
            baseline=options.replay_baseline,
            standardise=options.scale_rewards == "group",
            has_gate=options.hard_gate,
            dropout=options.rubric_dropout,
            replays=options.replays_per_prompt if replays else 0,
            anchors=options.replays_per_prompt if self._anchor_strength() > 0 else 0,
            keeps_negative=options.replay_negative,
            token_share=options.replay_token_share,
            skips_flat=options.remembers,
            seed=options.seed,
        )

    def _anchor_strength(self) -> float:
        state = self.state
        return losses.anchor_strength(state.global_step, state.max_steps, self.args.anchor_weight)

    def _lay_out(
        self,
        inputs: list[dict[str, Any]],
        out: dict[str, Any],
        plans: Sequence[Group],
        texts: Sequence[Fresh],
        first: int,
    ) -> None:
        """Deal the rows beside TRL's batch to processes and micro-batches."""
        world, hands = self.accelerator.num_processes, self.args.steps_per_generation
        shared = memory_rows(plans, self.args.loss_type, self.max_completion_length)
        own = list(dealt(shared, world)[self.accelerator.process_index])
        own += rider_rows(
            [each.get(reading.RIDERS) or () for each in inputs],
            out["advantages"].tolist(),
            loss_type=self.args.loss_type,
            rows=len(texts),
            tokens=sum(each.tokens for each in texts),
            longest=self.max_completion_length,
        )
        piles = dealt(own, hands)
        everyones = gather_object([([len(pile) for pile in piles], own[:1])])
        filler = next((row.silenced for _, some in everyones for row in some), None)
        self._side = []
        for number, pile in enumerate(piles):
            # every process makes the same forward passes, or collectives would wait for ever
            missing = max(counts[number] for counts, _ in everyones) - len(pile)
            full = pile + [filler] * missing if filler else pile
            self._side.append(self._batch(full) if full else None)

    def _batch(self, rows: Sequence[SideRow]) -> SideBatch:
        return SideBatch.of(rows, pad=self._tokenizer.pad_token_id, device=self.accelerator.device)

    def _side_term(self, model: Any, batch: SideBatch) -> Tensor:
        """The loss of the side rows of one micro-batch, scaled as TRL scales its own."""
        ids = torch.cat([batch.prompt_ids_BP, batch.completion_ids_BT], 1)
        attention = torch.cat([batch.prompt_mask_BP, batch.completion_mask_BT], 1)
        logps_BT, _, _ = self._get_per_token_logps_and_entropies(
            model, ids, attention, batch.completion_ids_BT.size(1)
        )
        options = self.args
        parts = side_loss(
            logps_BT,
            batch,
            low=self.epsilon_low,
            high=self.epsilon_high,
            gamma=options.replay_gamma,
        )
        is_far = self._tell_ratios(parts)
        strength = self._anchor_strength()
        replay = parts.replay * (0.0 if is_far else options.replay_weight)
        # weights add up over the whole generation, and TRL steps `hands / accumulation` times on it
        scale = (
            self.accelerator.num_processes
            * options.steps_per_generation
            / self.current_gradient_accumulation_steps
        )
        return (parts.fresh + replay + strength * parts.anchor) * scale

    def _tell_ratios(self, parts: SideLoss) -> bool:
        """Log how far off the policy the replayed tokens are; whether too far to learn from."""
        w = parts.ratios.double()
        n = w.new_tensor(w.numel())
        sums = torch.stack([w.sum(), (w**2).sum(), n, parts.clipped, parts.bare])
        total, squares, tokens, clipped, bare = self.accelerator.reduce(sums, "sum").tolist()
        metrics = self._metrics["train"]
        metrics["replay/loss"].append(parts.replay.item())
        metrics["anchor/loss"].append(parts.anchor.item())
        metrics["anchor/weight"].append(self._anchor_strength())
        if not tokens:
            return False
        ess = losses.effective_share(total, squares, tokens)
        metrics["replay/ratio_mean"].append(total / tokens)
        metrics["replay/ess"].append(ess)
        metrics["replay/clip_share"].append(clipped / bare if bare else 0.0)
        metrics["replay/paused"].append(float(ess < self.args.least_ess))
        return bool(ess < self.args.least_ess)

    def _remember(
        self,
        out: dict[str, Any],
        mask: Tensor,
        texts: Sequence[Fresh],
        plans: Sequence[Group],
        first: int,
    ) -> tuple[int, ...]:
        """Write the best fresh texts to memory, the same ones in every process."""
        size, step = self.num_generations, self.state.global_step
        chosen = [
            group * size + number
            for group, plan in enumerate(plans)
            for number in to_remember(texts[group * size : (group + 1) * size], plan)
        ]
        own = [number for number in chosen if first <= number < first + len(mask)]
        logps = self._behaviour(out, [number - first for number in own])
        entries = [
            (number, bare_entry(texts[number], out, mask, number - first, logp, step))
            for number, logp in zip(own, logps, strict=True)
        ]
        everyones = sorted(gather_object(entries), key=lambda pair: pair[0])
        ids = [self.memory.add(entry) for _, entry in everyones]
        return tuple(each for each in ids if each is not None)

    def _reflect(
        self,
        inputs: list[dict[str, Any]],
        out: dict[str, Any],
        groups: Sequence[Sequence[Fresh]],
        plans: Sequence[Group],
    ) -> tuple[int, ...]:
        """Have the median texts of flat and poor groups revised, shared out among processes."""
        assert self.reflect is not None
        poor = [number for number, plan in enumerate(plans) if wants_revision(plan)]
        own = [each for each in poor if self._is_mine(each, len(inputs))]
        revised = [
            _unsatisfying(inputs, out, groups[each], each * self.num_generations) for each in own
        ]
        revisions = list(self.reflect(revised)) if revised else []
        step = self.state.global_step
        entries = [
            (number, entry_of(revision, text, step=step))
            for number, text, revision in zip(own, revised, revisions, strict=True)
            if revision is not None
        ]
        everyones = sorted(gather_object(entries), key=lambda pair: pair[0])
        metrics = self._metrics["train"]
        metrics["reflection/asked"].append(float(len(poor)))
        metrics["reflection/accepted"].append(float(len(everyones)))
        gains = [
            entry.reward - (groups[number][median(groups[number])].reward or 0.0)
            for number, entry in everyones
        ]
        if gains:
            metrics["reflection/gain"].append(fmean(gains))
        ids = [self.memory.add(entry) for _, entry in everyones]
        return tuple(each for each in ids if each is not None)

    def _is_mine(self, group: int, rows: int) -> bool:
        """Whether the first row of a group lies in this process."""
        return bool(group * self.num_generations // rows == self.accelerator.process_index)

    def _behaviour(self, out: dict[str, Any], rows: Sequence[int]) -> list[list[float]]:
        """Log-probs that rows were sampled with; computed only where no engine returned them."""
        for name in ("sampling_per_token_logps", "old_per_token_logps"):
            if name in out:
                return [out[name][row].tolist() for row in rows]
        most = max(gather_object([len(rows)]))
        if not most:
            return []
        # every process makes the same forward passes, or collectives would wait for ever
        index = (list(rows) + [0] * most)[:most]
        with torch.no_grad():
            logps, _, _ = self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([out["prompt_ids"][index], out["completion_ids"][index]], 1),
                torch.cat([out["prompt_mask"][index], out["completion_mask"][index]], 1),
                out["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
            )
        return list(logps.tolist()[: len(rows)])


def _unsatisfying(
    inputs: Sequence[dict[str, Any]], out: dict[str, Any], group: Sequence[Fresh], row: int
) -> Unsatisfying:
    """The median text of a group, whose rows are all alike in their prompt."""
    row %= len(inputs)
    prompt = out["prompt_ids"][row][out["prompt_mask"][row].bool()]
    return Unsatisfying(inputs[row]["prompt"], tuple(prompt.tolist()), group[median(group)])


def _check(trainer: MRPOTrainer) -> None:
    """Refuse what the options need and the trainer was not given."""
    options = trainer.args
    if not isinstance(options, MRPOConfig):
        raise ConfigError(f"expected args of MRPOConfig, got {type(options).__name__}")
    names = trainer.reward_func_names
    if len(set(names)) < len(names):
        raise ConfigError(f"expected reward functions with different names, got {names}")
    columns = trainer.train_dataset.column_names or []
    if options.remembers and reading.CRITERIA_SHA not in columns:
        raise ConfigError(
            f"expected a column {reading.CRITERIA_SHA!r} in the training set, got {columns}: a "
            "remembered reward holds only under the criteria it was given for; add their hash, or "
            "set replay_weight=0 and anchor_weight=0"
        )
    if options.rubric_dropout and (not trainer.criteria or len(names) != 1):
        raise ConfigError(
            "rubric_dropout needs the criteria sets (criteria={sha: set}) and one reward function "
            f"that logs its judgements; got {len(trainer.criteria)} sets and {len(names)} functions"
        )
    if trainer.reflect and not options.remembers:
        raise ConfigError(
            "reflect= writes revisions to memory, and nothing is remembered with "
            "replay_weight=0 and anchor_weight=0; leave it out or raise one of them"
        )
    if trainer._is_vlm and options.remembers:
        raise ConfigError("images are not remembered: use a text model, or replay_weight=0")
