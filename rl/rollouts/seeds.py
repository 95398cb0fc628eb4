"""How the policy is sampled from in a step, and from which seeds."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quillgraph.rl.mrpo.plan import key_of


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one text of a step is sampled."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    def options(self) -> dict[str, Any]:
        """As call options of a chat backend."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


def samplings(prompts: Sequence[Any], trainer: Any, step: int) -> list[Sampling]:
    """One for each prompt; seeds follow from the run's seed, the step, the prompt and the copy.

    Args:
        prompts: The prompts of this process.
        trainer: TRL's trainer, whose options say the rest.
        step: Optimizer steps done when the texts are learned from.
    """
    first = trainer.accelerator.process_index * len(prompts)
    return [
        Sampling(
            temperature=trainer.temperature,
            top_p=trainer.top_p,
            max_tokens=trainer.max_completion_length,
            seed=seed_of(trainer.args.seed, step, key_of(prompt), first + number),
        )
        for number, prompt in enumerate(prompts)
    ]


def seed_of(*about: object) -> int:
    """A seed that follows from what it is about and from nothing else."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:4])


def chance_of(*about: object) -> float:
    """A number from 0 to below 1 that follows from what it is about."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:6]) / 2**48
