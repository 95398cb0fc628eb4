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
    """The criteria that a source gives for a request."""

    criteria: tuple[Criterion, ...]
    cited: float | None = None
    """Share of the request's clauses that a criterion cites; None if the source cites nothing."""
    codes: int | None = None
    """Number of codes of the study; None if there was no study."""
    dropped: int = 0
    """Parts of replies that could not be used."""


class Elicited(Value):
    """The criteria of one source for one request in one run, and their cost."""

    request: str
    """Id of the request."""
    source: str
    run: int
    """From 0."""
    found: Found | None
    """None if the source gave no criteria; `reason` says why."""
    reason: str = ""
    calls: int = 0
    tokens: int = 0
    """Of prompts and replies together."""


Find = Callable[[RubricRequest, int], Awaitable[Found]]
"""Finds criteria for a request, in the run of this number."""


@dataclass(frozen=True, slots=True)
class CriteriaSource:
    """One way to obtain criteria."""

    name: str
    find: Find
    varies: bool
    """Whether another run may give other criteria."""


def study_source(studies: Sequence[Study], without: Collection[str] = ()) -> CriteriaSource:
    """The Grounded-Theory workflow, whole or without some stages.

    Args:
        studies: One for each run, each with its own seed.
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
    """One prompt to a model; a role for each run, each with its own seed."""

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

    Its `find` raises an `InputError` if they wrote none.
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
    """Find criteria with a source, and count the cost.

    Args:
        source: Gives the criteria.
        request: The request that the criteria are for.
        run: Number of the run, from 0.
        listeners: Also receive the calls.

    Returns:
        The criteria, or why there are none. A failure on one request says nothing about the
        others, so it is recorded and not raised.

    Raises:
        BudgetReached: If the run may spend no more.
        StorageError: If the calls cannot be recorded.
    """
    counter = Recorder(None, f"{request.id}/{source.name}/{run}")
    # a recorder that refuses calls comes last, so that the others receive finished calls only
    token = var_child_runnable_config.set({"callbacks": [counter, *listeners]})
    answer, reason = None, ""
    try:
        answer = await source.find(request, run)
    except ReplyError as error:
        # without the reply, which is in the record of calls: equal failures then share a count
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
