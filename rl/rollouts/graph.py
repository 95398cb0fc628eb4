"""The graph that a configuration names for rollouts, and the models of its roles."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from langchain_core.embeddings import Embeddings
from langgraph.pregel import Pregel
from pydantic import BaseModel

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judges import Judge
from quillgraph.agents.requests import writing_task
from quillgraph.backends import connect, connect_embeddings
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes import (
    EpisodeSource,
    build,
    cast,
    compiled_form,
    entry_of,
    episode_source,
    fitting,
    measures_of,
    parts_of,
    roles_of,
    schema_of,
    start_of,
)
from quillgraph.rl.config.stages import RlConfig
from quillgraph.rl.rollouts.sampling import Player, Sampling

STARTS: Mapping[str, Mapping[str, Any]] = {"best_of_n": {"n": 2}}
"""Default input of our graphs: the smallest number of drafts that allows a choice."""

WRITER = "writer"
"""The role that is trained by default, where the graph has it."""

CRITERIA = "criteria_set"
"""Key of a graph's input for the frozen criteria of the task."""


@dataclass(frozen=True, slots=True)
class RolloutGraph:
    """A graph that is checked for training; the policy plays every role without another backend."""

    graph: Pregel[Any, Any, Any, Any]
    trainable: tuple[str, ...]
    others: Mapping[str, ChatBackend]
    """Backends of the roles that the policy does not play."""
    judge: Judge
    """Judge for each judge of the graph's context without a backend of its own."""
    embeddings: Embeddings | None
    """None where the context needs none."""
    rest: Mapping[str, Any]
    """The graph's input except task and criteria."""
    measures: Mapping[str, int]

    @classmethod
    def of(
        cls, config: RlConfig, *, judge: Judge, text_tokens: int, embeddings: str
    ) -> "RolloutGraph":
        """Find the graph of a configuration, and check its roles and input.

        Args:
            config: The configuration, with a graph.
            judge: Scores texts within the graph.
            text_tokens: Maximum tokens of a text.
            embeddings: Name of the embeddings, for a context that needs them.

        Raises:
            ConfigError: If there is no such graph, it takes no context, or it lacks a role, a
                measure or a part of the input that is set.
            InputError: If a part of the input has a wrong value.
        """
        assert config.graph is not None
        graph = compiled_form(build(config.graph))
        schema = schema_of(graph, "context_schema")
        trainable = _trainable(config, roles_of(schema))
        _refuse_unknown_measures(config.measures, schema)
        start = {**STARTS.get(config.graph, {}), **config.start}
        wants = Embeddings in get_type_hints(schema).values()
        rollout_graph = cls(
            graph=graph,
            trainable=trainable,
            others={name: connect(spec) for name, spec in config.roles.items()},
            judge=judge,
            embeddings=connect_embeddings(embeddings) if wants else None,
            rest=start_of(graph, {"request": "A text.", **start}).rest,
            measures={"text_tokens": text_tokens, **config.measures},
        )
        entry_of(graph, writing_task("A text."), rollout_graph.rest)
        return rollout_graph

    def check(self, engine: ChatBackend) -> None:
        """Check that the engine can play its roles.

        Raises:
            ConfigError: Naming the role and what is missing.
        """
        silent = Sampling(temperature=1.0, top_p=1.0, max_tokens=1, seed=0)
        self.source(Player.of(engine, silent), Player.of(engine, silent, is_trained=False))

    def source(self, policy: Player, frozen: Player) -> EpisodeSource:
        """Fill the graph's context for an episode, with a budget and seeds of its own."""
        schema = schema_of(self.graph, "context_schema")
        judges = [
            name
            for name, kind in get_type_hints(schema).items()
            if kind is Judge and name not in self.others
        ]
        context: Any = cast(
            schema,
            frozen,
            roles={**self.others, **dict.fromkeys(self.trainable, policy)},
            embeddings=self.embeddings,
            seed=policy.sampling.seed,
            budget=Budget(),
            **fitting(schema, self.measures),
        )
        context = _replaced(context, dict.fromkeys(judges, self.judge))
        return episode_source(self.graph, context=context, trainable=self.trainable)

    def start(self, sets: Mapping[str, CriteriaSet]) -> Callable[[WritingTask], dict[str, Any]]:
        """Make the function that gives the start input of an episode.

        Args:
            sets: Request hash to criteria.
        """
        takes_criteria = CRITERIA in parts_of(self.graph, "input_schema")

        def start(task: WritingTask) -> dict[str, Any]:
            frozen = {CRITERIA: sets[task.request_hash]} if takes_criteria else {}
            return {**self.rest, **frozen}

        return start

    async def aclose(self) -> None:
        """Close the backends of the other roles."""
        for chat in self.others.values():
            await chat.aclose()


def _trainable(config: RlConfig, roles: tuple[str, ...]) -> tuple[str, ...]:
    """The roles that are trained: those in the configuration, the writer, or the only one."""
    if not roles:
        raise ConfigError(
            f"rl.graph: the context of {config.graph!r} has no role that the policy could play: "
            "give the graph a context_schema with a field of type BaseChatModel or Role for each "
            "role"
        )
    both = sorted(set(config.trainable) & set(config.roles))
    if both:
        raise ConfigError(f"rl.roles: {both[0]!r} is trained, so the policy has to play it")
    for name in (*config.trainable, *config.roles):
        if name not in roles:
            where = "trainable" if name in config.trainable else "roles"
            raise ConfigError(f"rl.{where}: no role {name!r}: {nearest(name, roles)}")
    free = [name for name in roles if name not in config.roles]
    if config.trainable:
        return config.trainable
    if WRITER in free:
        return (WRITER,)
    if len(free) == 1:
        return (free[0],)
    raise ConfigError(
        f"rl.trainable: say which roles of {config.graph!r} are trained; the policy could play "
        f"{', '.join(free) or 'none of them'}"
    )


def _refuse_unknown_measures(measures: Mapping[str, int], schema: Any) -> None:
    known = measures_of(schema)
    for name in measures:
        if name not in known:
            raise ConfigError(f"rl.measures: no {name!r} in the context: {nearest(name, known)}")


def _replaced(context: Any, parts: Mapping[str, Any]) -> Any:
    """A copy of the context with these parts replaced."""
    if not parts:
        return context
    if isinstance(context, Mapping):
        return {**context, **parts}
    if isinstance(context, BaseModel):
        return context.model_copy(update=dict(parts))
    return dataclasses.replace(context, **parts)
