"""Prompt sampler that draws prompts of middling difficulty more often (`ALGORITHM.md` B.1)."""

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.columns import key_of
from quillgraph.rl.mrpo.plan import difficulty_weight
from quillgraph.rl.trainers import GroupTrainer

LAG = 2
"""Generations between a reward and the first draw that uses it: data loaders fetch one generation
ahead. A fixed lag makes the draws of a resumed run the same."""

FILE = "prompts.json"


class PromptSampler(Sampler[int]):  # type: ignore[misc]
    """Draws the prompts of each generation by difficulty, without replacement.

    The chance of a prompt is proportional to exp(-(R - .5)² / (2·.2²)), with R the mean reward of
    its latest group, times 1 + its age in epochs, so that prompts that are too easy or too hard now
    return later. The form is ExGRPO's (arXiv:2510.02245), made continuous; the age is ours. A
    prompt that was never drawn counts as middling. An epoch has as many generations as one pass
    through all prompts takes.

    Pass it to an `MRPOTrainer` as `prompts`, which reports the rewards to it; its draws depend only
    on these and the seed. It is a part of a checkpoint, and can be the `ahead` of `Rollouts`.

    Args:
        prompts: The prompts of the training set, in order.
        per_generation: Different prompts of a generation, over all processes.
        copies: Texts per prompt.
        passes: How often a generation is repeated, as in TRL's own sampler.
        seed: The run's seed.

    Raises:
        ConfigError: If there are fewer prompts than a generation takes.
    """

    def __init__(
        self, prompts: Sequence[Any], *, per_generation: int, copies: int, passes: int, seed: int
    ) -> None:
        if len(prompts) < per_generation:
            raise ConfigError(
                f"expected at least {per_generation} prompts, as many as a step takes, got "
                f"{len(prompts)}; lower per_device_train_batch_size or "
                "gradient_accumulation_steps"
            )
        self._prompts = list(prompts)
        self._keys = [key_of(prompt) for prompt in prompts]
        self._size, self._copies, self._passes, self._seed = per_generation, copies, passes, seed
        self.means: list[dict[str, float]] = []
        """Mean reward of each prompt's group, by generation."""
        self._draws: list[tuple[int, ...]] = []
        self._epochs = 0

    @classmethod
    def of(cls, prompts: Sequence[Any], args: Any) -> "PromptSampler":
        """Make a sampler for the options of a trainer."""
        if args.dataloader_num_workers:
            raise ConfigError(
                "prompts by difficulty are drawn as rewards come in, and dataloader_num_workers="
                f"{args.dataloader_num_workers} draws them long before; leave it at 0"
            )
        return cls(
            prompts,
            per_generation=args.generation_batch_size // args.num_generations,
            copies=args.num_generations,
            passes=args.steps_per_generation * args.num_iterations,
            seed=args.seed,
        )

    @property
    def per_epoch(self) -> int:
        """Generations of an epoch."""
        return len(self._prompts) // self._size

    @property
    def coverage(self) -> float:
        """Share of the prompts whose difficulty is known."""
        return len({key for means in self.means for key in means}) / len(self._prompts)

    def __len__(self) -> int:
        """Rows of an epoch, for the data loader."""
        return self.per_epoch * self._size * self._copies * self._passes

    def __iter__(self) -> Iterator[int]:
        """Yield the rows of the next epoch, each generation in TRL's order."""
        first, self._epochs = self._epochs * self.per_epoch, self._epochs + 1
        for generation in range(first, first + self.per_epoch):
            for _ in range(self._passes):
                for number in self.drawn(generation):
                    yield from [number] * self._copies

    def __call__(self, trainer: GroupTrainer, step: int) -> list[Any]:
        """The prompts of this process in a step that is one generation, for `Rollouts.ahead`."""
        flat = [number for number in self.drawn(step) for _ in range(self._copies)]
        size = len(flat) // trainer.accelerator.num_processes
        first = trainer.accelerator.process_index * size
        return [self._prompts[number] for number in flat[first : first + size]]

    def note(self, means: Mapping[str, float | None]) -> None:
        """Record a generation: key of a prompt to the mean reward of its group, if known."""
        self.means.append({key: mean for key, mean in means.items() if mean is not None})

    def drawn(self, generation: int) -> tuple[int, ...]:
        """Indices of the prompts of a generation; generations count from 0 over the whole run."""
        while len(self._draws) <= generation:
            self._draws.append(self._draw(len(self._draws)))
        return self._draws[generation]

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint."""
        (folder / FILE).write_text(json.dumps(self.means), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it back from a checkpoint."""
        self.means = json.loads((folder / FILE).read_text(encoding="utf-8"))
        self._draws = []

    def _draw(self, generation: int) -> tuple[int, ...]:
        """Draw by weight without replacement (Efraimidis, Spirakis)."""
        known: dict[str, float] = {}
        for means in self.means[: max(0, generation - LAG + 1)]:
            known |= means
        last = {number: at for at, numbers in enumerate(self._draws) for number in numbers}
        chance = random.Random(f"{self._seed}-{generation}-prompts")
        order = []
        for number, key in enumerate(self._keys):
            age = (generation - last.get(number, -1)) / self.per_epoch
            weight = difficulty_weight(known[key]) if key in known else 1.0
            order.append((math.log(1 - chance.random()) / (weight * (1 + age)), number))
        return tuple(number for _, number in sorted(order, reverse=True)[: self._size])
