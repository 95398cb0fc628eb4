"""The frozen criteria of every request of a run, generated before training starts."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from quillgraph.agents.criteria import hard_criteria
from quillgraph.agents.domain import Core, CriteriaSet, WritingTask
from quillgraph.agents.requests import find_constraints, segment
from quillgraph.backends.errors import InputError, StorageError
from quillgraph.graphs.study import Study
from quillgraph.graphs.study import workflow as criteria_graph
from quillgraph.rl.processes import Notify

AT_ONCE = 4
"""Studies that run side by side; each has calls of its own in flight."""

NO_CORE = Core(category_id="", storyline="")
"""Core of a set that comes from no study."""


def hard_set(task: WritingTask) -> CriteriaSet:
    """Make a set of the hard criteria alone: rules find them in the request, code checks them."""
    return CriteriaSet(
        request_hash=task.request_hash,
        language=task.language,
        genre=task.genre,
        core=NO_CORE,
        criteria=hard_criteria(find_constraints(segment(task), task.language)),
    )


async def study_set(task: WritingTask, study: Study) -> CriteriaSet:
    """Run the Grounded-Theory workflow on a request."""
    graph = criteria_graph.build().compile()
    state = await graph.ainvoke({"task": task}, {"recursion_limit": 100}, context=study)
    criteria_set: CriteriaSet = state["criteria_set"]
    return criteria_set


async def find_sets(
    tasks: Sequence[WritingTask],
    *,
    study: Study | None,
    folder: Path,
    cache: Path | None = None,
    tell: Notify = lambda _: None,
) -> dict[str, CriteriaSet]:
    """Find the criteria of all requests; read them from disk where an earlier run found them.

    Args:
        tasks: The requests.
        study: Models and settings of the studies; None takes the hard criteria alone.
        folder: The run's own folder of criteria, `<request_hash>-<kind>.json` each: the record of
            the criteria that the run trains with.
        cache: A folder of criteria that runs share.
        tell: Receives progress messages.

    Returns:
        Request hash to criteria.

    Raises:
        StorageError: If a folder cannot be written.
        InputError: If a file of criteria is damaged.
    """
    kind: Literal["full", "hard"] = "full" if study else "hard"
    sets = {task.request_hash: read_set(folder, task, kind) for task in tasks}
    for task in tasks:
        if sets[task.request_hash] is None and cache is not None:
            sets[task.request_hash] = read_set(cache, task, kind)
    lacking = [task for task in tasks if sets[task.request_hash] is None]
    if lacking:
        tell(f"finding the criteria of {len(lacking)} of {len(tasks)} requests")
    slots, count = asyncio.Semaphore(AT_ONCE), 0

    async def find_one(task: WritingTask) -> CriteriaSet:
        nonlocal count
        async with slots:
            fresh = await study_set(task, study) if study else hard_set(task)
        count += 1
        if study:
            tell(f"criteria {count}/{len(lacking)}: {task.request[:60]}")
        for place in filter(None, (folder, cache)):
            write_set(place, task, kind, fresh)
        return fresh

    fresh = await asyncio.gather(*map(find_one, lacking))
    complete = {key: value for key, value in sets.items() if value is not None}
    complete |= {task.request_hash: each for task, each in zip(lacking, fresh, strict=True)}
    for task in tasks:
        write_set(folder, task, kind, complete[task.request_hash])
    return complete


def read_set(folder: Path, task: WritingTask, kind: str) -> CriteriaSet | None:
    """Read the criteria of a request; None if there is no file.

    Raises:
        InputError: If the file is damaged, or holds the criteria of another request.
    """
    file = _file(folder, task, kind)
    try:
        criteria_set = CriteriaSet.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the criteria {file}: {error}; delete the file to find them again"
        ) from error
    if criteria_set.request_hash != task.request_hash:
        raise InputError(f"{file} holds the criteria of another request; delete it")
    return criteria_set


def write_set(folder: Path, task: WritingTask, kind: str, criteria_set: CriteriaSet) -> None:
    """Write the criteria of a request, unless the file exists.

    Raises:
        StorageError: If the folder cannot be written.
    """
    file = _file(folder, task, kind)
    if file.exists():
        return
    part = file.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(criteria_set.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise StorageError(f"cannot write the criteria {file}: {error.strerror}") from error


def shas(sets: Mapping[str, CriteriaSet]) -> dict[str, str]:
    """Request hash to the hash of its criteria."""
    return {request: each.sha256 for request, each in sets.items()}


def _file(folder: Path, task: WritingTask, kind: str) -> Path:
    return folder / f"{task.request_hash[:32]}-{kind}.json"
