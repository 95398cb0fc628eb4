"""The prompts of a comparison, each with the criteria that measure its texts."""

import random
from collections.abc import Sequence

from quillgraph.agents.checks import WordCount, about
from quillgraph.agents.criteria import hard_criteria
from quillgraph.agents.domain import TIER_WEIGHT, Core, CriteriaSet, Criterion, Value, WritingTask
from quillgraph.agents.judgements import judged
from quillgraph.agents.judges import length_range
from quillgraph.agents.requests import find_constraints, segment, writing_task
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.data.rubrics import EVIDENCE, as_criteria, generic_rubric

NO_CORE = Core(category_id="", storyline="")
"""The core of a set that does not come from a study."""


class Prompt(Value):
    """One request, and the criteria for its texts."""

    id: str
    task: WritingTask
    criteria_set: CriteriaSet
    """Hard criteria that rules extract from the request, and soft ones from elsewhere."""


def prompts_of(
    requests: Sequence[RubricRequest],
    criteria: tuple[Criterion, ...] | None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[tuple[Prompt, ...], dict[str, int]]:
    """Make prompts of the requests of a file.

    Args:
        requests: The requests. A request's own criteria become its soft criteria.
        criteria: Criteria to use instead. Hard ones among them belong to another request and are
            skipped.
        limit: Highest number of prompts, drawn by the seed; the file's order stays.
        seed: Of the drawing.

    Returns:
        The prompts, and reason to count of the excluded requests.

    Raises:
        InputError: If no request gives a prompt.
    """
    usable: list[Prompt] = []
    excluded: dict[str, int] = {}
    first = ""
    for request in requests:
        try:
            usable.append(_prompt(request, criteria))
        except InputError as error:
            first = first or f"{request.id}: {error}"
            reason = "requests that no task can be made of"
            excluded[reason] = excluded.get(reason, 0) + 1
    if not usable:
        raise InputError(f"no request can be written to; the first is {first}")
    if limit is not None and limit < len(usable):
        numbers = sorted(random.Random(seed).sample(range(len(usable)), limit))
        usable = [usable[number] for number in numbers]
    return tuple(usable), excluded


def _prompt(request: RubricRequest, criteria: tuple[Criterion, ...] | None) -> Prompt:
    task = writing_task(request.request)
    soft = criteria or as_criteria(request.criteria) or generic_rubric()
    constraints = find_constraints(segment(task), task.language)
    hard = _with_length(hard_criteria(constraints), request.words)
    criteria_set = CriteriaSet(
        request_hash=task.request_hash,
        language=task.language,
        genre=task.genre,
        core=NO_CORE,
        criteria=(*hard, *judged(soft)),
    )
    return Prompt(id=request.id, task=task, criteria_set=criteria_set)


def _with_length(hard: tuple[Criterion, ...], words: int | None) -> tuple[Criterion, ...]:
    """Add the length that a benchmark asks for, unless the request states it."""
    if words is None or length_range(hard) is not None:
        return hard
    low, high = about(words)
    criterion = Criterion(
        id=f"h{len(hard) + 1}",
        name=f"About {words} words",
        description=f"Has {low} to {high} words.",
        kind="hard",
        tier="essential",
        weight=TIER_WEIGHT["essential"],
        levels={},
        category_id=None,
        evidence=EVIDENCE,
        check=WordCount(min=low, max=high),
    )
    return (*hard, criterion)
