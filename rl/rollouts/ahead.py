"""Texts of the next step, written during the present update."""

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
"""The outcome of each prompt, and the seconds that all took."""

FILE = "ahead.json"


@dataclass(frozen=True, slots=True)
class Ahead:
    """Texts under way for a coming step."""

    step: int
    """Optimizer steps done when the update uses the texts."""
    policy: int
    """Optimizer steps of the policy that writes them."""
    prompts: tuple[str, ...]
    """Keys of the prompts of this process, in order."""
    texts: "Future[Written]"


class PromptOrder:
    """The prompts of coming steps, as TRL's sampler will deal them to this process.

    It draws all epochs from a sampler of its own with the trainer's seed, so it knows the order
    in a resumed run as well. A step has to be one generation.
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
        numbers = self._steps[step][first : first + size]
        return [trainer.train_dataset[number]["prompt"] for number in numbers]

    def _draw(self, trainer: GroupTrainer) -> None:
        """Draw one more epoch."""
        if self._sampler is None:
            # the method of the class: in a resumed run the trainer's own skips finished epochs
            self._sampler = type(trainer)._get_train_sampler(trainer)
        order, args = list(self._sampler), trainer.args
        size = args.generation_batch_size
        stride = size * args.steps_per_generation * args.num_iterations
        self._steps += [order[start : start + size] for start in range(0, len(order), stride)]


class AheadPart:
    """Texts written ahead as a part of a checkpoint, so that a resumed run uses the same texts.

    A run of several processes saves none, as each has its own and only one writes the checkpoint.
    The next step then uses texts of its own policy, like the first step of a run.
    """

    def __init__(self, ahead: Callable[[], Ahead | None], put: Callable[[Ahead], None]) -> None:
        self._ahead, self._put = ahead, put

    def save(self, folder: Path) -> None:
        """Wait for the texts under way, and write them into a checkpoint."""
        (folder / FILE).write_text(json.dumps(_to_json(self._ahead())), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it back from a checkpoint."""
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if raw is None:
            return
        texts: Future[Written] = Future()
        texts.set_result(([_from_json(each) for each in raw["texts"]], raw["seconds"]))
        self._put(Ahead(raw["step"], raw["policy"], tuple(raw["prompts"]), texts))


def death_of(done: Sequence[Trajectory | QuillError]) -> QuillError | None:
    """The failure of the engine itself among the failures, if there is one.

    Where all texts failed, the first failure counts as the engine's.
    """
    failures = [each for each in done if isinstance(each, QuillError)]
    of_engine = [each for each in failures if isinstance(each, ServerFailed | Unreachable)]
    if of_engine or len(failures) < len(done):
        return next(iter(of_engine), None)
    return failures[0]


def _to_json(ahead: Ahead | None) -> dict[str, Any] | None:
    if ahead is None or processes().num_processes > 1:
        return None
    outcomes, seconds = ahead.texts.result()
    if death_of(outcomes):
        return None
    return {
        "step": ahead.step,
        "policy": ahead.policy,
        "prompts": ahead.prompts,
        "seconds": seconds,
        "texts": [_plain(each) for each in outcomes],
    }


def _plain(each: Trajectory | QuillError) -> Any:
    return str(each) if isinstance(each, QuillError) else each.model_dump(mode="json")


def _from_json(raw: Any) -> Trajectory | QuillError:
    # a failed text is excluded with its reason, as without the checkpoint
    return QuillError(raw) if isinstance(raw, str) else Trajectory.model_validate(raw)


def same_prompts(ahead: Ahead, step: int, keys: Sequence[str]) -> bool:
    """Whether the texts under way are for this step and its prompts."""
    return ahead.step == step and ahead.prompts == tuple(keys)
