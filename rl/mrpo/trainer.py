"""MRPO on TRL's GRPO trainer: methods that call TRL's and add the memory.

No code of TRL is copied (`ALGORITHM.md` 6.5): `_generate_and_score_completions` combines each fresh
group with memory after TRL has scored it, `_compute_loss` adds the terms of the loss, and
`_get_train_sampler` returns the sampler of prompts by difficulty if there is one.
Distribution, checkpoints and trackers are TRL's.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from statistics import fmean
from typing import Any, ClassVar

os.environ.setdefault(
    "TRL_EXPERIMENTAL_SILENCE", "1"
)  # we use the experimental `rollout_func` on purpose
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # else every trainer of TRL reports itself

import torch
import trl
from accelerate.utils import gather_object
from torch import Tensor
from trl import GRPOTrainer

from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.rl.columns import (
    CRITERIA_SHA,
    EXCLUDED,
    JUDGEMENT,
    OPENED,
    REQUEST,
    TEXT,
    rewarded_texts,
)
from quillgraph.rl.cpu_head import score_on_cpu
from quillgraph.rl.mrpo import fresh as reading
from quillgraph.rl.mrpo import losses
from quillgraph.rl.mrpo.config import check_trainer
from quillgraph.rl.mrpo.credit import Credit
from quillgraph.rl.mrpo.episode_rows import own_rows
from quillgraph.rl.mrpo.memory import Reflect, Step, write_fresh, write_revisions, written_tokens
from quillgraph.rl.mrpo.metrics import StepRecord, step_metrics
from quillgraph.rl.mrpo.plan import Fresh, Rules, plan_step
from quillgraph.rl.mrpo.prompts import PromptSampler
from quillgraph.rl.mrpo.replay import Replay
from quillgraph.rl.mrpo.rows import Drift, Normaliser, SideBatch, SideRow, dealt, memory_rows
from quillgraph.rl.rewards.group import Rewards
from quillgraph.rl.rewards.joint import CompleteRewards

TRL_VERSION = "1.16"


class MRPOTrainer(CompleteRewards, GRPOTrainer):  # type: ignore[misc]
    """Policy optimisation with a memory of good texts, replayed beside each fresh group.

    It takes the arguments of `trl.GRPOTrainer`. With a memory, the dataset needs the column
    `criteria_sha`. The gate applies where a reward function logs its judgements
    (`rl.columns.JUDGEMENT`).

    Args:
        recount: Name of a reward function to a function that computes the reward of its judgements
            in a step. It applies to fresh and remembered texts, before the gate, so that rubric
            dropout hides the same criteria from both. Without it a remembered reward never changes.
        reflect: Revises texts of flat and poor groups; its revisions enter memory as reflective
            entries. None revises nothing.
        credit: How an episode's advantage is divided among its calls; None gives each call the
            whole one, as GRPO does.
        prompts: Draws the prompts of each generation by their earlier rewards; None takes TRL's
            shuffled epochs.
        terms: Further terms of the loss (`losses.Term`), after MRPO's own.
    """

    _tag_names: ClassVar = ["trl", "mrpo"]
    _name = "MRPO"

    def __init__(
        self,
        *arguments: Any,
        recount: Mapping[str, reading.Recount] | None = None,
        reflect: Reflect | None = None,
        credit: Credit | None = None,
        prompts: PromptSampler | None = None,
        terms: Sequence[losses.Term] = (),
        **options: Any,
    ) -> None:
        if not trl.__version__.startswith(f"{TRL_VERSION}."):
            raise ConfigError(
                f"expected trl {TRL_VERSION}, whose private methods MRPO overrides, got "
                f"{trl.__version__}; pip install 'quillgraph[rl]'"
            )
        super().__init__(*arguments, **options)
        score_on_cpu(self)
        self.recount = dict(recount or {})
        self.reflect = reflect
        self.credit = credit
        self.prompts = prompts
        check_trainer(self)
        self.terms = self._all_terms(terms)
        self.memory = Replay(self.args.memory_per_prompt, self.args.memory_size)
        self.ledger: list[StepRecord] = []
        self._side: list[SideBatch | None] = []
        self._normaliser: Normaliser | None = None
        self._logps_BT: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """State of a run beside TRL's checkpoint: memory and ledger, as JSON values."""
        return {
            "memory": self.memory.state_dict(),
            "ledger": [asdict(each) for each in self.ledger],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` described."""
        self.memory.load_state_dict(state["memory"])
        self.ledger = [StepRecord.of(each) for each in state["ledger"]]

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        if self.prompts is not None:
            return self.prompts
        return super()._get_train_sampler(dataset)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._logs["extra"].pop(JUDGEMENT, None)  # a column that is not logged again keeps old rows
        out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self._take_behaviour(out)
            self._set_against_memory(inputs, out)
        return out

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        logps_BT, self._logps_BT = self._logps_BT, None
        if not self.model.training or not self._side:
            return loss
        if of_texts := [each for each in self.terms if each.reads == "texts"]:
            assert logps_BT is not None
            loss = loss + self._weighed(of_texts, self._texts(inputs, logps_BT))
        batch = self._side[self._step % self.args.steps_per_generation]
        return loss if batch is None else loss + self._side_term(model, batch)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*arguments, **options)
        self._logps_BT = result[0]  # log-probs of TRL's batch, for `_compute_loss`
        return result

    def _take_behaviour(self, out: dict[str, Any]) -> None:
        """Use the sampling log-probs of a rollout as old log-probs; TRL does so only for vLLM."""
        if self.use_vllm or "sampling_per_token_logps" not in out:
            return
        logps_BT = out["sampling_per_token_logps"]
        if not torch.isfinite(logps_BT).all():
            raise InputError(
                "expected a finite log-prob for each token of a rollout, got NaN or infinity: "
                "rows without log-probs cannot be trained on"
            )
        out["old_per_token_logps"] = logps_BT

    def _set_against_memory(self, inputs: list[dict[str, Any]], out: dict[str, Any]) -> None:
        number, size, mask_BT = self.state.global_step, self.num_generations, written_tokens(out)
        texts = self._fresh(inputs, mask_BT)
        groups = [texts[start : start + size] for start in range(0, len(texts), size)]
        stale = sum(self.memory.drop_stale(each[0].prompt, each[0].criteria_sha) for each in groups)
        count = reading.counting(self._weights(), self.recount, number)
        rules = self._rules([each.reward for each in texts])
        plans = plan_step(groups, self.memory, rules, step=number, count=count)
        first = self.accelerator.process_index * len(inputs)
        step = Step(number, inputs, out, mask_BT, groups, plans, first)
        self._take_advantages(out, step)
        self._lay_out(step)
        stored = self._write(step)
        self.ledger.append(
            StepRecord(
                number,
                tuple(plan.prompt for plan in plans),
                tuple(each.entry.id for plan in plans for each in plan.replayed),
                stored,
            )
        )
        if self.prompts is not None:
            self.prompts.note({plan.prompt: plan.mean for plan in plans})
            self._metrics["train"]["prompts/coverage"].append(self.prompts.coverage)
        metrics = step_metrics(texts, plans, self.memory, step=number, stale=stale)
        for name, value in metrics.items():
            self._metrics["train"][name].append(value)

    def _take_advantages(self, out: dict[str, Any], step: Step) -> None:
        """Replace TRL's advantages by ours where they differ."""
        if self.args.regroups and any(plan.is_changed for plan in step.plans):
            gains = [value or 0.0 for plan in step.plans for value in plan.advantages]
            ours = gains[step.first : step.first + len(step.inputs)]
            out["advantages"] = torch.tensor(ours, device=out["advantages"].device)

    def _write(self, step: Step) -> tuple[int, ...]:
        if not self.args.remembers:
            return ()
        stored = write_fresh(self, step)
        if self.reflect and (step.number + 1) % self.args.reflect_every == 0:
            stored += write_revisions(self, step, self.reflect)
        return stored

    def _fresh(self, inputs: list[dict[str, Any]], mask: Tensor) -> list[Fresh]:
        count = len(inputs)
        everyones = list(self._logs["completion"])[-count * self.accelerator.num_processes :]
        first = self.accelerator.process_index * count
        names = (REQUEST, TEXT, EXCLUDED, OPENED)
        replies = rewarded_texts(
            [each["prompt"] for each in inputs],
            everyones[first : first + count],
            {name: [each.get(name) for each in inputs] for name in names},
        )
        rows = zip(inputs, mask.sum(1).tolist(), replies, strict=True)
        marks = [
            (each.get(CRITERIA_SHA) or "", reply.missing, int(tokens), reply.words)
            for each, tokens, reply in rows
        ]
        return reading.fresh_texts(self._logs, self._weights(), gather_object(marks))

    def _weights(self) -> dict[str, float]:
        return dict(zip(self.reward_func_names, self.reward_weights.tolist(), strict=True))

    def _rules(self, rewards: Rewards) -> Rules:
        options, step = self.args, self.state.global_step
        known = [each for each in rewards if each is not None]
        is_warm = step >= options.replay_start and bool(known)
        replays = (
            is_warm and options.replay_weight > 0 and fmean(known) >= options.replay_start_reward
        )
        return Rules(
            baseline=options.replay_baseline,
            standardise=options.scale_rewards == "group",
            has_gate=options.hard_gate,
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

    def _lay_out(self, step: Step) -> None:
        """Split the rows beside TRL's batch over processes and micro-batches."""
        world, hands = self.accelerator.num_processes, self.args.steps_per_generation
        shared = memory_rows(step.plans, self.args.loss_type, self.max_completion_length)
        longest = self.max_completion_length
        self._normaliser = Normaliser.of(step.groups, self.args.loss_type, longest)
        own = list(dealt(shared, world)[self.accelerator.process_index])
        own += own_rows(self, step, self._normaliser)
        piles = dealt(own, hands)
        everyones = gather_object([([len(pile) for pile in piles], own[:1])])
        filler = next((row.silenced for _, some in everyones for row in some), None)
        self._side = []
        for number, pile in enumerate(piles):
            # every process makes the same forward passes, or collectives would hang
            missing = max(counts[number] for counts, _ in everyones) - len(pile)
            full = pile + [filler] * missing if filler else pile
            self._side.append(self._batch(full) if full else None)

    def _batch(self, rows: Sequence[SideRow]) -> SideBatch:
        return SideBatch.of(rows, pad=self._tokenizer.pad_token_id, device=self.accelerator.device)

    def _side_term(self, model: Any, batch: SideBatch) -> Tensor:
        """The terms of the rows beside TRL's batch, for one micro-batch."""
        ids = torch.cat([batch.prompt_ids_BP, batch.completion_ids_BT], 1)
        attention = torch.cat([batch.prompt_mask_BP, batch.completion_mask_BT], 1)
        logps_BT, _, _ = self._get_per_token_logps_and_entropies(
            model, ids, attention, batch.completion_ids_BT.size(1)
        )
        rows, self._logps_BT = batch.under(logps_BT), None
        is_far = self._log_drift(Drift.of(rows, low=self.epsilon_low, high=self.epsilon_high))
        beside = [each for each in self.terms if each.reads == "beside"]
        return self._weighed(beside, rows, is_far=is_far)

    def _weighed(
        self, terms: Sequence[losses.Term], rows: losses.Rows, *, is_far: bool = False
    ) -> Tensor:
        """Weighted sum of the terms of one micro-batch, scaled as TRL scales its own loss.

        Args:
            terms: At least one.
            rows: Input of the terms.
            is_far: Whether to leave out the off-policy terms.
        """
        state, metrics, parts = self.state, self._metrics["train"], []
        for term in terms:
            value = term(rows)
            metrics[f"{term.name}/loss"].append(value.item())
            weight = term.weight_at(state.global_step, state.max_steps)
            parts.append(value * (0.0 if is_far and term.is_off_policy else weight))
        # weights add up over the whole generation, and TRL steps `hands / accumulation` times on it
        scale = (
            self.accelerator.num_processes
            * self.args.steps_per_generation
            / self.current_gradient_accumulation_steps
        )
        return reduce(add, parts) * scale

    def _texts(self, inputs: Mapping[str, Any], logps_BT: Tensor) -> losses.Rows:
        """TRL's batch as input of the terms of the loss."""
        assert self._normaliser is not None
        mask_BT = written_tokens(inputs)
        names = ("sampling_per_token_logps", "old_per_token_logps")
        known = (inputs[name] for name in names if inputs.get(name) is not None)
        weights = [self._normaliser.weight(int(each)) for each in mask_BT.sum(1).tolist()]
        every_B = torch.ones_like(inputs["advantages"], dtype=torch.bool)
        return losses.Rows(
            logps_BT=logps_BT,
            completion_ids_BT=inputs["completion_ids"],
            mask_BT=mask_BT.to(logps_BT.dtype),
            # without them the present policy wrote the texts
            behaviour_BT=next(known, logps_BT.detach()),
            is_known_B=every_B,
            is_fresh_B=every_B,
            is_shaped_B=~every_B,
            advantages_B=inputs["advantages"],
            weights_B=torch.tensor(weights, device=logps_BT.device),
            anchors_B=torch.zeros_like(inputs["advantages"]),
        )

    def _all_terms(self, further: Sequence[losses.Term]) -> tuple[losses.Term, ...]:
        """MRPO's own terms and the further ones."""
        own = losses.mrpo_terms(
            low=self.epsilon_low,
            high=self.epsilon_high,
            gamma=self.args.replay_gamma,
            replay_weight=self.args.replay_weight,
            anchor_weight=self.args.anchor_weight,
        )
        terms = (*own, *further)
        names = [each.name for each in terms]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"expected terms of the loss with different names, got {names}; "
                f"{', '.join(each.name for each in own)} are MRPO's own"
            )
        return terms

    def _log_drift(self, drift: Drift) -> bool:
        """Log how far replayed tokens have drifted from the policy; True if too far to train on."""
        w = drift.replayed.double()
        n = w.new_tensor(w.numel())
        lessoned = (drift.lessoned.sum(), n.new_tensor(drift.lessoned.numel()))
        sums = torch.stack([w.sum(), (w**2).sum(), n, drift.clipped, drift.bare, *lessoned])
        everyones = self.accelerator.reduce(sums, "sum").tolist()
        total, squares, tokens, clipped, bare, of_lessons, count = everyones
        metrics = self._metrics["train"]
        if count:
            metrics["lessons/ratio_mean"].append(of_lessons / count)
        metrics["anchor/weight"].append(self._anchor_strength())
        if not tokens:
            return False
        ess = losses.effective_share(total, squares, tokens)
        metrics["replay/ratio_mean"].append(total / tokens)
        metrics["replay/ess"].append(ess)
        metrics["replay/clip_share"].append(clipped / bare if bare else 0.0)
        metrics["replay/paused"].append(float(ess < self.args.least_ess))
        return bool(ess < self.args.least_ess)
