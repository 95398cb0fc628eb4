"""Texts of the next step, written while the present one is learned from."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import QuillError, ServerFailed, Unreachable
from quillgraph.rl.processes import processes
from quillgraph.rl.trainers import GroupTrainer
from quillgraph.rl.trajectories.rows import Trajectory

Written = tuple[list[Trajectory | QuillError], float]
"""What came of each prompt, and how many seconds it took."""

FILE = "ahead.json"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What has been begun for a coming step."""

    step: int
    """Optimizer steps done when the texts are learned from."""
    policy: int
    """Optimizer steps of the policy that writes them."""
    prompts: tuple[str, ...]
    """Keys of the prompts of this process, in order."""
    texts: "Future[Written]"


class PromptOrder:
    """The prompts of coming steps, as TRL's sampler will deal them to this process.

    It draws from a sampler of its own with the trainer's seed, from the first epoch on, and so
    knows the order also in a run that was resumed. A step has to be one generation.
    """

    def __init__(self) -> None:
        self._sampler: Any = None
        self._steps: list[list[int]] = []

    def __call__(self, trainer: GroupTrainer, step: int) -> list[Any]:
        """The prompts of a step, counted from 0 over the whole run."""
        while len(self._steps) <= step:
            self._draw(trainer)
        size = trainer._train_batch_size * trainer.args.steps_per_generation
        first = trainer.accelerator.process_index * size
        chosen = self._steps[step][first : first + size]
        return [trainer.train_dataset[number]["prompt"] for number in chosen]

    def _draw(self, trainer: GroupTrainer) -> None:
        """Draw one more epoch."""
        if self._sampler is None:
            # that of the class: the trainer's own may have been wound on to where a run resumed
            self._sampler = type(trainer)._get_train_sampler(trainer)
        drawn, args = list(self._sampler), trainer.args
        size = args.generation_batch_size
        stride = size * args.steps_per_generation * args.num_iterations
        self._steps += [drawn[start : start + size] for start in range(0, len(drawn), stride)]


class AheadPart:
    """What is ahead as a part of a checkpoint, so that a run goes on with the very texts.

    A run of several processes keeps none: each has its own, and one of them writes the checkpoint.
    The step after it is then learned from texts of the policy of that step, as the first one is.
    """

    def __init__(self, ahead: Callable[[], Ahead | None], put: Callable[[Ahead], None]) -> None:
        self._ahead, self._put = ahead, put

    def save(self, folder: Path) -> None:
        """Wait for what is being written, and keep it."""
        (folder / FILE).write_text(json.dumps(_dumped(self._ahead())), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take it back."""
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if raw is None:
            return
        texts: Future[Written] = Future()
        texts.set_result(([_loaded(each) for each in raw["texts"]], raw["seconds"]))
        self._put(Ahead(raw["step"], raw["policy"], tuple(raw["prompts"]), texts))


def death_of(done: Sequence[Trajectory | QuillError]) -> QuillError | None:
    """The failure of the engine itself among the failures, if there is one.

    Where every single text failed it is taken for the engine's, whatever the reason.
    """
    failures = [each for each in done if isinstance(each, QuillError)]
    of_engine = [each for each in failures if isinstance(each, ServerFailed | Unreachable)]
    if of_engine or len(failures) < len(done):
        return next(iter(of_engine), None)
    return failures[0]


def _dumped(ahead: Ahead | None) -> dict[str, Any] | None:
    if ahead is None or processes().num_processes > 1:
        return None
    done, seconds = ahead.texts.result()
    if death_of(done):
        return None
    return {
        "step": ahead.step,
        "policy": ahead.policy,
        "prompts": ahead.prompts,
        "seconds": seconds,
        "texts": [_plain(each) for each in done],
    }


def _plain(each: Trajectory | QuillError) -> Any:
    return str(each) if isinstance(each, QuillError) else each.model_dump(mode="json")


def _loaded(raw: Any) -> Trajectory | QuillError:
    # what failed is left out with its reason, as it would have been
    return QuillError(raw) if isinstance(raw, str) else Trajectory.model_validate(raw)


def same_prompts(ahead: Ahead, step: int, keys: Sequence[str]) -> bool:
    """Whether what was begun is what a step asks for."""
    return ahead.step == step and ahead.prompts == tuple(keys)
