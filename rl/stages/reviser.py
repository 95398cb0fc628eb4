"""Reflection rounds of MRPO: revise poor texts by the loop's own steps, for the memory."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.role import Role
from quillgraph.agents.writers import Plan, Written, plan_edits, reflect, refusals, revise, weakest
from quillgraph.backends.errors import BackendError, ReplyError, RewardError
from quillgraph.rl.columns import key_of
from quillgraph.rl.mrpo.fresh import total
from quillgraph.rl.mrpo.memory import Revision, Unsatisfying
from quillgraph.rl.rewards.functions import NAME
from quillgraph.rl.rewards.rules import RewardRules, whole_reward
from quillgraph.rl.rewards.scorer import JudgeQueue

logger = logging.getLogger(__name__)


def _unlogged(name: str, value: Any) -> None:
    """Log nothing: TRL's logs of a step are about its fresh texts."""


@dataclass(frozen=True, slots=True)
class Reviser:
    """Reflects on texts, revises them by a plan, and returns accepted ones (`ALGORITHM.md` 6.4).

    It is the `reflect` of an `MRPOTrainer`. The writer is the rollout engine with the policy's
    weights, so the tokens of a revision and their log-probs are exact. A revision that took several
    calls has no exact tokens and is not stored.
    """

    writer: Role
    tasks: Mapping[str, WritingTask]
    """Key of a prompt to its task."""
    sets: Mapping[str, CriteriaSet]
    """Request hash to criteria."""
    scorer: JudgeQueue
    rules: RewardRules
    max_tokens: int
    functions: Sequence[Callable[..., Any]]
    """The user's reward functions (`checked_values`), which reward a revision like a fresh text;
    only the criteria decide whether it is accepted."""
    weights: Mapping[str, float]
    """Weight of each reward function by name."""

    def __call__(self, texts: Sequence[Unsatisfying]) -> list[Revision | None]:
        """Revise texts, all at once; None where no revision was accepted or the revision failed."""

        async def all_of_them() -> list[Revision | None]:
            return list(await asyncio.gather(*map(self._revised, texts)))

        return asyncio.run(all_of_them())

    async def _revised(self, poor: Unsatisfying) -> Revision | None:
        task, judgement = self.tasks[key_of(poor.prompt)], poor.text.judgement
        criteria_set = self.sets[task.request_hash]
        if judgement is None:
            return None
        try:
            edits = await self._plan(task, criteria_set, poor.text.text, judgement)
            if not edits.edits:
                return None
            written = await revise(
                task,
                poor.text.text,
                edits,
                self.writer,
                lessons=(),
                number=0,
                max_tokens=self.max_tokens,
            )
            (verdicts,) = await self.scorer.judgements(task, criteria_set, [written.text])
            before = (poor.text.text, judgement)
            value = self._accepted_value(criteria_set, before, (written.text, verdicts))
            if written.trace is None or value is None:
                return None
            parts = {NAME: value, **await self._further_parts(poor, written)}
            if poor.text.parts.keys() - parts.keys():
                return None  # a reward is missing, so it can be compared with no text
        except (BackendError, ReplyError):
            return None  # the step still has its fresh texts; the revision counts as not accepted
        except RewardError as error:
            logger.warning("a revision is left out, as it cannot be rewarded: %s", error)
            return None
        return Revision(
            text=written.text,
            completion_ids=written.trace.completion_ids,
            logprobs=written.trace.logprobs,
            reward=total(parts, self.weights) or 0.0,
            parts=parts,
            judgement=verdicts,
        )

    async def _further_parts(self, poor: Unsatisfying, written: Written) -> dict[str, float]:
        """Rewards of a revision by the user's functions, where they return one."""
        assert written.trace is not None
        columns = {name: [value] for name, value in poor.columns.items() if name != "trainer_state"}
        columns["prompts"] = [poor.prompt]
        columns["completions"] = [[{"role": "assistant", "content": written.text}]]
        columns["completion_ids"] = [list(written.trace.completion_ids)]
        beside = {
            "trainer_state": poor.columns.get("trainer_state"),
            "log_metric": _unlogged,
            "log_extra": _unlogged,
        }
        parts = {}
        for function in self.functions:
            (value,) = await function(**columns, **beside)
            if value is not None:
                parts[function.__name__] = value
        return parts

    async def _plan(
        self, task: WritingTask, criteria_set: CriteriaSet, text: str, judgement: Judgement
    ) -> Plan:
        about = weakest(criteria_set, judgement)
        if not about:
            return plan_edits(criteria_set, judgement, ())
        answers = await reflect(task, text, about, judgement, self.writer, lessons=(), number=0)
        return plan_edits(criteria_set, judgement, answers.items)

    def _accepted_value(
        self,
        criteria_set: CriteriaSet,
        before: tuple[str, Judgement],
        after: tuple[str, Judgement],
    ) -> float | None:
        """Reward of a revision by its criteria; None where it is refused or has no reward."""

        def worth(text: str, judgement: Judgement) -> tuple[Judgement, Reward]:
            return judgement, whole_reward(judgement, criteria_set, text, self.rules)

        first, now = worth(*before), worth(*after)
        is_refused = now[1].value is None or refusals(criteria_set, now, first, first)
        return None if is_refused else now[1].value
