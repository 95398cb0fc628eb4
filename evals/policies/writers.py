"""Writers: a policy's model called directly, or within a graph."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from quillgraph.agents.replies import reply_text
from quillgraph.agents.role import Role, say
from quillgraph.agents.writers import Precedents, drafting_prompt
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import (
    BackendError,
    BudgetReached,
    ConfigError,
    InputError,
    ReplyError,
    nearest,
)
from quillgraph.backends.messages import was_cut
from quillgraph.evals.data.prompts import Prompt
from quillgraph.evals.policies.policy import Policy
from quillgraph.evals.policies.records import WrittenText
from quillgraph.graphs.episodes import (
    WAYS,
    Episode,
    Graph,
    cast,
    episode_source,
    fitting,
    parts_of,
    registry,
    reply_of,
    run_graph,
    schema_of,
)

MEASURES = ("drafts", "draft_tokens", "rounds", "text_tokens", "samples")
"""Numbers that a graph's context may ask for by name."""

NEXT_SEED = 1_000_003
"""Added to a graph's seed for each further text of a prompt, so that they differ."""

Reading = Literal["request", "writer"]
"""The prompt of a model: the bare request, or the writer's prompt of `quillgraph write`."""


class Writer(Protocol):
    """Writes texts for one policy."""

    async def write(self, prompt: Prompt, number: int, tokens: int | None) -> WrittenText:
        """Write one text, or give the reason for its absence.

        Args:
            prompt: The request and its criteria.
            number: Number of the text among those of this prompt.
            tokens: Token budget of the text; None if the policy sets its own.

        Raises:
            BudgetReached: If the run's budget is spent.
        """


@dataclass(frozen=True, slots=True)
class ModelWriter:
    """Calls a model directly, once for each text."""

    name: str
    model: BaseChatModel
    budget: Budget
    seed: int
    text_tokens: int
    reading: Reading
    recorder: Recorder | None
    """Hears the calls; None for nobody."""

    async def write(self, prompt: Prompt, number: int, tokens: int | None) -> WrittenText:
        """See `Writer`; a single call ignores `tokens`."""
        role = Role("writer", self.model, self.seed, self.budget)
        text = WrittenText(policy=self.name, prompt=prompt.id, number=number)
        item = f"{prompt.task.request_hash}/{number}"
        try:
            with recorded_as(self.recorder, f"{self.name}/{prompt.id}/{number}"):
                reply = await say(
                    role, self._messages(prompt, role), item=item, max_tokens=self.text_tokens
                )
        except (BackendError, ReplyError, InputError) as error:
            return text.model_copy(update={"failure": f"{type(error).__name__}: {error}"})
        usage = reply.usage_metadata
        written = reply_text(reply, request=prompt.task.request)
        return text.model_copy(
            update={
                "text": written.words.strip(),
                "failure": written.missing,
                "aside": written.aside,
                "prompt_tokens": usage["input_tokens"] if usage else 0,
                "completion_tokens": usage["output_tokens"] if usage else 0,
                "calls": 1,
                "is_cut": was_cut(reply),
            }
        )

    def _messages(self, prompt: Prompt, role: Role) -> Sequence[BaseMessage]:
        if self.reading == "request":
            return [HumanMessage(prompt.task.request)]
        return drafting_prompt(prompt.task.request, Precedents(), is_small=role.chooses)


@dataclass(frozen=True, slots=True)
class GraphWriter:
    """Runs a graph in which the policy's model plays every role.

    A graph that takes criteria gets the criteria of the comparison, so a judge within the graph
    and the judge of the comparison score by the same ones.
    """

    name: str
    graph: Graph
    options: Mapping[str, int | str]
    model: BaseChatModel
    budget: Budget
    seed: int
    measures: Mapping[str, int]
    recorder: Recorder | None
    """Hears the calls; None for nobody."""

    async def write(self, prompt: Prompt, number: int, tokens: int | None) -> WrittenText:
        """See `Writer`; `tokens`, if not None, becomes the graph's input `tokens`."""
        seed = self.seed + NEXT_SEED * number
        name = f"{self.name}/{prompt.id}/{number}"
        schema = schema_of(self.graph, "context_schema")
        context: Any = cast(
            schema,
            self.model,
            embeddings=LexicalEmbeddings(),
            seed=seed,
            budget=Budget(),  # its own: some graphs read the cost of a text from their budget
            **fitting(schema, self.measures),
        )
        source = episode_source(self.graph, context=context, budget=self.budget)
        with recorded_as(self.recorder, name):
            start = self._start(prompt, tokens)
            episode = await run_graph(source, prompt.task, start=start, episode_id=name)
        return self._written(prompt, number, episode)

    def _start(self, prompt: Prompt, tokens: int | None) -> dict[str, Any]:
        parts = {**start_options(self.graph, self.options), "criteria_set": prompt.criteria_set}
        if tokens is not None:
            parts["tokens"] = tokens
        takes = set(parts_of(self.graph, "input_schema")) - set(WAYS)
        return {name: value for name, value in parts.items() if name in takes}

    def _written(self, prompt: Prompt, number: int, episode: Episode) -> WrittenText:
        failed = episode.failure
        # some graphs still return a text after a spent budget: not fair in a comparison
        if failed.kind == "budget" if failed else not episode.is_complete:
            raise BudgetReached(episode.stopped)
        reply = reply_of(episode)
        where = f"in node {failed.node}: " if failed and failed.node else ""
        return WrittenText(
            policy=self.name,
            prompt=prompt.id,
            number=number,
            text="" if failed else reply.words,
            aside=reply.aside,
            prompt_tokens=sum(call.prompt_tokens for call in episode.calls),
            completion_tokens=sum(call.completion_tokens for call in episode.calls),
            calls=len(episode.calls),
            failure=f"{where}{failed.reason}" if failed else reply.missing,
        )


@contextmanager
def recorded_as(recorder: Recorder | None, name: str) -> Iterator[None]:
    """Record calls under their own name, inside graphs and outside.

    Args:
        recorder: Receives each record; None records nothing.
        name: Name of the run in the records.
    """
    from langchain_core.runnables.config import var_child_runnable_config

    with Recorder(None, name, recorder.add if recorder else None) as own:
        before = var_child_runnable_config.set({"callbacks": [own]})
        try:
            yield
        finally:
            var_child_runnable_config.reset(before)


def start_options(graph: Graph, options: Mapping[str, int | str]) -> dict[str, int | str]:
    """Options of a policy that belong to its graph's input; `MEASURES` belong to its context.

    Raises:
        ConfigError: If an option belongs to neither.
    """
    takes = set(parts_of(graph, "input_schema")) - {*WAYS, "criteria_set"}
    if unknown := sorted(set(options) - takes - set(MEASURES)):
        names = [*sorted(takes), *MEASURES]
        raise ConfigError(f"the graph has no option {unknown[0]!r}: {nearest(unknown[0], names)}")
    return {name: value for name, value in options.items() if name in takes}


def policy_graph(policy: Policy) -> Graph:
    """Build the graph of a policy, and check that it takes the policy's options.

    Raises:
        ConfigError: If there is no such graph, or it does not take an option.
    """
    assert policy.graph is not None
    graph = registry.build(policy.graph)
    start_options(graph, policy.options)
    return graph


def writer_for(
    policy: Policy,
    model: BaseChatModel,
    *,
    budget: Budget,
    recorder: Recorder | None,
    seed: int,
    measures: Mapping[str, int],
    reading: Reading,
) -> Writer:
    """Make the writer of a policy.

    Args:
        policy: The policy.
        model: Its model, connected and with its adapter.
        budget: The run's budget.
        recorder: Receives all calls; None records nothing.
        seed: Seed of the run.
        measures: `MEASURES` by name; a policy's own options win over them.
        reading: The prompt of a model without a graph.
    """
    if policy.graph is None:
        return ModelWriter(
            policy.name, model, budget, seed, measures["text_tokens"], reading, recorder
        )
    own = {n: v for n, v in policy.options.items() if n in MEASURES and isinstance(v, int)}
    return GraphWriter(
        name=policy.name,
        graph=policy_graph(policy),
        options=policy.options,
        model=model,
        budget=budget,
        seed=seed,
        measures={**measures, **own},
        recorder=recorder,
    )
