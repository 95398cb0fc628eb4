"""Lessons of earlier episodes, for the prompts of rollouts (`ALGORITHM.md` 6.5)."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import TypeAdapter, ValidationError

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import judged
from quillgraph.agents.memory import Lesson
from quillgraph.backends import connect_embeddings
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError, InputError, StorageError
from quillgraph.graphs.memory import Memory
from quillgraph.rl.columns import key_of
from quillgraph.rl.config.requests import Turns
from quillgraph.rl.config.stages import LessonsConfig
from quillgraph.rl.rollouts.run import RolloutFn, one_call
from quillgraph.rl.rollouts.sampling import Sampling, chance_of
from quillgraph.rl.trajectories.rows import Trajectory

LessonsFor = Mapping[str, tuple[Lesson, ...]]
"""Request hash to the lessons that fit the request, best fit first."""

_KEPT = TypeAdapter(dict[str, tuple[Lesson, ...]])


def find_lessons(
    config: LessonsConfig,
    tasks: Sequence[WritingTask],
    sets: Mapping[str, CriteriaSet],
    *,
    file: Path,
    embeddings: str,
) -> LessonsFor:
    """Recall the lessons for each request, once for a whole run.

    They are saved in the run's folder and read from there when the run resumes: the memory may have
    new lessons by then, which would change the run.

    Args:
        config: Where the memory is, and how many lessons a prompt may hold.
        tasks: The training requests.
        sets: Request hash to criteria; a lesson has to be about one of their soft ones, if any.
        file: Where the lessons are saved.
        embeddings: Name of the embeddings that compare requests.

    Raises:
        ConfigError: If there is no memory, or no lesson in it fits any request.
        InputError: If the saved file is damaged.
        StorageError: If the memory or the file cannot be used.
    """
    if file.exists():
        return _read(file)
    if not config.memory.is_file():
        raise ConfigError(
            f"rl.lessons.memory: no file {config.memory}; `quillgraph write` writes one, or leave "
            "rl.lessons out"
        )
    lessons = asyncio.run(_recalled(config, tasks, sets, connect_embeddings(embeddings)))
    if not any(lessons.values()):
        raise ConfigError(
            f"rl.lessons: {config.memory} has no lesson on a criterion of any of {len(tasks)} "
            "requests; write some texts first, or leave rl.lessons out"
        )
    _write(file, lessons)
    return lessons


def lessoned_run(
    share: float,
    lessons_for: Callable[[Any], Sequence[Lesson]],
    prompt_with: Callable[[Any, Sequence[Lesson]], Turns],
) -> RolloutFn:
    """Make rollouts of one call each, a share of them with lessons in the prompt.

    The seed of a rollout decides whether it gets lessons. A prompt without lessons gets none.

    Args:
        share: p, from 0 to 1.
        lessons_for: From a prompt of the dataset to its lessons.
        prompt_with: From the prompt and its lessons to the prompt that the policy reads instead.
    """

    async def run(prompt: Any, model: ChatBackend, sampling: Sampling) -> Trajectory:
        lessons: Sequence[Lesson] = ()
        if chance_of(sampling.seed, "lessons") < share:
            lessons = lessons_for(prompt)
        text = await one_call(prompt_with(prompt, lessons) if lessons else prompt, model, sampling)
        key, ids = key_of(prompt), tuple(each.id for each in lessons)
        return text.model_copy(
            update={"episode": f"{key}-{sampling.seed}", "request_hash": key, "lessons": ids}
        )

    return run


async def _recalled(
    config: LessonsConfig,
    tasks: Sequence[WritingTask],
    sets: Mapping[str, CriteriaSet],
    embeddings: Embeddings,
) -> dict[str, tuple[Lesson, ...]]:
    lessons = {}
    async with Memory.open(config.memory, embeddings) as memory:
        for task in tasks:
            names = [each.name for each in judged(sets[task.request_hash].criteria)]
            lessons[task.request_hash] = (await memory.recall(task, names, config.most)).lessons
    return lessons


def _read(file: Path) -> LessonsFor:
    try:
        return _KEPT.validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise InputError(
            f"cannot read the lessons of the run, {file}: {error}; put the file back, or start a "
            "new run"
        ) from error


def _write(file: Path, lessons: LessonsFor) -> None:
    plain = {key: [each.model_dump(mode="json") for each in some] for key, some in lessons.items()}
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from error
