"""A graph as a source of episodes: what is checked before the first of them is run."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from quillgraph.agents.domain import WritingTask
from quillgraph.backends.calls import Budget
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes.context import check_trainable, names_in, with_roles

logger = logging.getLogger(__name__)

Graph = StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any]

ALIKE = 0.7
"""How alike two names are, by `difflib`, for one to be taken for the other misspelt."""

MOST_STEPS = 100
"""Supersteps after which a graph is taken for an endless loop; LangGraph's own limit is 10,007."""

Answer = Callable[[Any], Awaitable[Any]]
"""From what a graph's `interrupt` asks to the answer that it is resumed with."""

Start = Mapping[str, Any] | Callable[[WritingTask], Mapping[str, Any]]


@dataclass(slots=True)
class EpisodeSource:
    """A graph that has been found fit to run, and whoever plays in it."""

    graph: Pregel[Any, Any, Any, Any]
    context: Any
    roles: frozenset[str]
    """Roles that were cast by name."""
    trainable: tuple[str, ...]
    known: frozenset[str]
    """Names that a role can have, as far as can be told without running the graph."""
    budget: Budget | None
    most_steps: int
    answer: Answer | None
    nests: bool | None
    """Whether other graphs run within this one; None until a whole run has shown that none does.
    To follow them costs a fifth of a run's time that is not spent on models, so it is left out
    where there are none."""

    def learn(self, *, nests: bool) -> None:
        """Take note of whether a run that was gone through met other graphs."""
        if nests and self.nests is False:
            logger.warning(
                "%s ran a graph within a node that no run before it met: what its nodes may have "
                "lost was not looked for this once",
                self.graph.get_name(),
            )
        self.nests = nests or bool(self.nests)


def episode_source(
    graph: Graph,
    *,
    roles: Mapping[str, BaseChatModel] | None = None,
    trainable: Iterable[str] = (),
    context: Any = None,
    budget: Budget | None = None,
    most_steps: int = MOST_STEPS,
    answer: Answer | None = None,
) -> EpisodeSource:
    """Check a graph and its cast, once for all the episodes that are to come of it.

    Args:
        graph: A LangGraph graph, compiled or not.
        roles: Role to model. A role is a field of the graph's context, and its calls are known by
            its name. A model that a node holds itself cannot be exchanged from outside.
        trainable: Roles whose calls may become rows for training; all others are frozen. A call
            that no role was named for has its node as its role.
        context: The graph's run-time context, whole or without the roles.
        budget: What all runs together may spend.
        most_steps: Supersteps after which a run is taken for an endless loop.
        answer: Answers the graph's interrupts; without it an interrupt ends the run.

    Raises:
        ConfigError: If it is no graph or one without an entry, on a role that the graph does not
            have, on a trainable role whose backend gives no token ids or log-probs, and on one that
            is nearly the name of a role or a node.
    """
    compiled = compiled_form(graph)
    cast = dict(roles or {})
    played = with_roles(compiled, cast, context)
    trained = tuple(sorted({trainable} if isinstance(trainable, str) else set(trainable)))
    check_trainable(trained, played)
    known = names_in(compiled, played)
    _refuse_misspelt(trained, known)
    if most_steps < 1:
        raise ConfigError(f"expected most_steps of 1 or more, got {most_steps}")
    return EpisodeSource(
        graph=compiled,
        context=played,
        roles=frozenset(cast),
        trainable=trained,
        known=known,
        budget=budget,
        most_steps=most_steps,
        answer=answer,
        nests=True if any(True for _ in compiled.get_subgraphs()) else None,
    )


def _refuse_misspelt(trainable: Iterable[str], known: frozenset[str]) -> None:
    """Refuse a trainable role that is nearly a known one; others a node may bring by itself.

    Raises:
        ConfigError: Naming the one that may be meant.
    """
    for name in sorted(set(trainable) - known):
        if get_close_matches(name, known, n=1, cutoff=ALIKE):
            raise ConfigError(
                f"trainable: the graph has no role or node {name!r}: {nearest(name, known)}"
            )
        logger.warning(
            "trainable: no role or node %r is known before the graph runs; if no call is made in "
            "it, the episode fails. Known: %s",
            name,
            ", ".join(sorted(known)) or "none",
        )


def entry_of(
    graph: Pregel[Any, Any, Any, Any], task: WritingTask, rest: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a graph's input: the task in the fields that it has for it, and the rest.

    Raises:
        ConfigError: If the task has no way in, or the rest has fields that the input has not.
    """
    ways = {
        "task": task,
        "request": task.request,
        "messages": [HumanMessage(task.request)],
    }
    builder = getattr(graph, "builder", None)
    fields = set(builder.schemas[builder.input_schema]) if builder else set(ways)
    if unknown := sorted(set(rest) - fields) if builder else []:
        raise ConfigError(
            f"start has {unknown[0]!r}, which the graph's input does not have; it has "
            f"{', '.join(sorted(fields))}"
        )
    entry = {key: value for key, value in ways.items() if key in fields} | dict(rest)
    if not entry:
        raise ConfigError(
            f"the graph's input has none of {', '.join(ways)}, so the task does not reach it: give "
            f"start= a function that fills {', '.join(sorted(fields))} from the task"
        )
    return entry


def compiled_form(graph: Graph) -> Pregel[Any, Any, Any, Any]:
    """The graph compiled, as its caller may have done already.

    Raises:
        ConfigError: If it is no graph, or one without an entry.
    """
    if isinstance(graph, Pregel):
        return graph
    if not isinstance(graph, StateGraph):
        raise ConfigError(
            f"expected a LangGraph graph, compiled or not, got {type(graph).__name__}: pass what "
            "your factory returns, not the factory"
        )
    try:
        return graph.compile()
    except ValueError as error:
        raise ConfigError(f"the graph cannot be compiled: {error}") from error
