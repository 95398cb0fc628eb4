"""Where criteria for a request come from: a study, one prompt, a fixed rubric, or people."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import var_child_runnable_config

from quillgraph.agents.criteria import one_shot_criteria
from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends import Recorder
from quillgraph.backends.errors import BackendError, InputError, ReplyError
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.data.rubrics import as_criteria, generic_rubric
from quillgraph.graphs.study import Study
from quillgraph.graphs.study import workflow as criteria

OURS, ONE_SHOT, GENERIC, HUMAN = "ours", "one-shot", "generic", "human"
"""Names of the sources: the whole study, one prompt, the fixed rubric, and people."""

MOST_STEPS = 100
"""Supersteps of a study, as in `quillgraph criteria`."""


class Found(Value):
    """What a source gives for a request."""

    criteria: tuple[Criterion, ...]
    cited: float | None = None
    """Share of the clauses of the request that a criterion cites; None where nobody cites."""
    codes: int | None = None
    """Codes of the study; None where there was none."""
    dropped: int = 0
    """Parts of replies that could not be used."""


class Elicited(Value):
    """The criteria of one source for one request in one run, and what they cost."""

    request: str
    """Id of the request."""
    source: str
    run: int
    """From 0."""
    found: Found | None
    """None where the source gave nothing; `reason` says why."""
    reason: str = ""
    calls: int = 0
    tokens: int = 0
    """Of prompts and replies together."""


Find = Callable[[RubricRequest, int], Awaitable[Found]]
"""From a request and the number of the run to criteria."""


@dataclass(frozen=True, slots=True)
class CriteriaSource:
    """One way to criteria."""

    name: str
    find: Find
    varies: bool
    """Whether another run may give other criteria."""


def study_source(studies: Sequence[Study], without: Collection[str] = ()) -> CriteriaSource:
    """The Grounded-Theory workflow, whole or without some stages.

    Args:
        studies: One for each run, of seeds of their own.
        without: Stages to leave out, of `graphs.study.ablation.STAGES`.

    Raises:
        ConfigError: If there is no such stage.
    """
    graph = criteria.build_without(without).compile()

    async def find(request: RubricRequest, run: int) -> Found:
        state = await graph.ainvoke(
            {"task": writing_task(request.request)},
            {"recursion_limit": MOST_STEPS},
            context=studies[run],
        )
        criteria_set = state["criteria_set"]
        return Found(
            criteria=criteria_set.criteria,
            cited=criteria_set.stats["coverage"],
            codes=criteria_set.stats["codes"],
            dropped=len(state.get("dropped", [])),
        )

    name = OURS if not without else f"without {', '.join(sorted(without))}"
    return CriteriaSource(name, find, varies=True)


def one_shot_source(roles: Sequence[Role]) -> CriteriaSource:
    """One prompt to a model; a role for each run, of seeds of their own."""

    async def find(request: RubricRequest, run: int) -> Found:
        answers = await one_shot_criteria(writing_task(request.request), roles[run])
        if not answers.items:
            raise ReplyError("criteria as JSON", answers.dropped[0].text if answers.dropped else "")
        return Found(criteria=answers.items, dropped=len(answers.dropped))

    return CriteriaSource(ONE_SHOT, find, varies=True)


def generic_source() -> CriteriaSource:
    """The fixed rubric that fits any piece of writing."""

    async def find(request: RubricRequest, run: int) -> Found:
        return Found(criteria=generic_rubric())

    return CriteriaSource(GENERIC, find, varies=False)


def human_source() -> CriteriaSource:
    """What people wrote for the request.

    Its `find` raises an `InputError` where they wrote nothing.
    """

    async def find(request: RubricRequest, run: int) -> Found:
        if not request.criteria:
            raise InputError("people wrote no criteria for this request")
        return Found(criteria=as_criteria(request.criteria))

    return CriteriaSource(HUMAN, find, varies=False)


async def elicit(
    source: CriteriaSource,
    request: RubricRequest,
    run: int,
    listeners: Sequence[BaseCallbackHandler],
) -> Elicited:
    """Have a source find criteria, and count what it cost.

    Args:
        source: Where they come from.
        request: What they are for.
        run: Number of the run, from 0.
        listeners: Who hears the calls besides.

    Returns:
        The criteria, or why there are none: a model that failed on one request has said nothing of
        the others.

    Raises:
        BudgetReached: If the run may spend no more.
        StorageError: If the calls cannot be written down.
    """
    counter = Recorder(None, f"{request.id}/{source.name}/{run}")
    # a recorder that refuses calls stands last, so that the others hear of what was made alone
    token = var_child_runnable_config.set({"callbacks": [counter, *listeners]})
    answer, reason = None, ""
    try:
        answer = await source.find(request, run)
    except ReplyError as error:
        # without the reply, which is in the record of calls: equal failures are counted as one
        reason = f"ReplyError: expected {error.expected}"
    except (BackendError, InputError) as error:
        reason = f"{type(error).__name__}: {error}"
    finally:
        var_child_runnable_config.reset(token)
    return Elicited(
        request=request.id,
        source=source.name,
        run=run,
        found=answer,
        reason=reason,
        calls=counter.calls,
        tokens=counter.prompt_tokens + counter.completion_tokens,
    )
