"""Nodes for your own graphs: a role of the context does one thing with the state.

Each function here makes an ordinary LangGraph node: `graph.add_node("judge", nodes.judge())`. The
node reads and writes the parts of the state that its types name (`task`, `criteria_set`, `text`,
`judgement`, `reward`, `plan`). It takes its role from the field of that name in the context: a
`Role`, or a bare chat model. Your state need not declare a part that a node reads; it must declare
a part that is only written, or LangGraph drops it.

Add a whole graph of this package as a compiled node if your context has the fields of its context
(`Workshop`, `Arena`, `Panel`), or else by `under`.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding
from langgraph.runtime import Runtime
from pydantic import BaseModel

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.judges import Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.agents.writers import reflection as reflecting
from quillgraph.agents.writers import writer as writing
from quillgraph.backends.errors import BudgetReached, ConfigError, nearest
from quillgraph.graphs.episodes.context import CastModel, cast
from quillgraph.graphs.episodes.source import Graph, compiled_form
from quillgraph.graphs.episodes.start import parts_of
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.study import workflow as grounding
from quillgraph.graphs.study.state import Study

S_contra = TypeVar("S_contra", contravariant=True)
U_co = TypeVar("U_co", covariant=True)


class Node(Protocol[S_contra, U_co]):
    """An asynchronous LangGraph node."""

    async def __call__(self, state: S_contra, runtime: Runtime[Any]) -> U_co:
        """Read the state and return the update."""


class Commission(TypedDict):
    """Input of a writer's draft."""

    task: WritingTask


class WriterOutput(TypedDict):
    """Output of a writer."""

    text: str


class JudgeOutput(TypedDict):
    """Output of a judge."""

    judgement: Judgement
    reward: Reward


class ReflectorInput(judging.Submission):
    """Input of a reflector: a text with its judgement."""

    judgement: Judgement


class ReflectorOutput(TypedDict):
    """Output of a reflector."""

    plan: reflecting.Plan


class ReviserInput(TypedDict):
    """Input of a writer's revision."""

    task: WritingTask
    text: str
    plan: reflecting.Plan


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """A context with only a judge."""

    judge: Judge


def draft(
    by: str = "writer", *, max_tokens: int = 512, number: int = 0
) -> Node[Commission, WriterOutput]:
    """Make a node that writes `text` for the `task`.

    Args:
        by: Name of the role that writes.
        max_tokens: Most tokens of the text.
        number: Number of the draft; each number has its own seeds.
    """

    async def draft(state: Commission, runtime: Runtime[Any]) -> WriterOutput:
        written = await writing.write_draft(
            state["task"],
            writing.Precedents(),
            role(runtime.context, by),
            number=number,
            max_tokens=max_tokens,
        )
        return {"text": written.text}

    return draft


def judge(by: str = "judge") -> Node[judging.Submission, JudgeOutput]:
    """Make a node that writes `judgement` and `reward` of the `text` under the `criteria_set`.

    The node raises `BudgetReached` if a budget does not cover the judge.
    """

    async def judge(state: judging.Submission, runtime: Runtime[Any]) -> JudgeOutput:
        # the state may hold more than its type names, and the inner graph takes only these parts
        submission = judging.Submission(
            task=state["task"], criteria_set=state["criteria_set"], text=state["text"]
        )
        assessed = await judging.assess(submission, JudgeContext(_judge(runtime.context, by)))
        if assessed.unpaid:
            raise BudgetReached(assessed.unpaid)
        return {"judgement": assessed.judgement, "reward": assessed.reward}

    return judge


def reflect(by: str = "reflector", *, number: int = 0) -> Node[ReflectorInput, ReflectorOutput]:
    """Make a node that writes a `plan` for the weakest criteria of the judged `text`.

    Args:
        by: Name of the role that reflects.
        number: Number of the reflection on the same text; each number has its own seeds.
    """

    async def reflect(state: ReflectorInput, runtime: Runtime[Any]) -> ReflectorOutput:
        criteria_set, judgement = state["criteria_set"], state["judgement"]
        answers = await reflecting.reflect(
            state["task"],
            state["text"],
            reflecting.weakest(criteria_set, judgement),
            judgement,
            role(runtime.context, by),
            lessons=(),
            number=number,
        )
        return {"plan": reflecting.plan_edits(criteria_set, judgement, answers.items)}

    return reflect


def revise(
    by: str = "writer", *, max_tokens: int = 512, number: int = 0
) -> Node[ReviserInput, WriterOutput]:
    """Make a node that revises the `text` by the `plan`.

    The node does not decide whether to accept the revision: see `agents.writers.refusals`.

    Args:
        by: Name of the role that writes.
        max_tokens: Most tokens of the text.
        number: Number of the revision of the same text; each number has its own seeds.
    """

    async def revise(state: ReviserInput, runtime: Runtime[Any]) -> WriterOutput:
        written = await writing.revise(
            state["task"],
            state["text"],
            state["plan"],
            role(runtime.context, by),
            lessons=(),
            number=number,
            max_tokens=max_tokens,
        )
        return {"text": written.text}

    return revise


def criteria(by: str = "coder", *, embeddings: str = "embeddings", drafts: int = 4) -> Any:
    """Make a node that finds the `criteria_set` of the `task` by a whole Grounded-Theory study.

    Args:
        by: Name of the role whose model, seed and budget all roles of the study share.
        embeddings: Field of the context with the embeddings for constant comparison.
        drafts: Number of drafts to sample and observe.
    """

    def study(context: Any) -> Study:
        coder = role(context, by)
        return cast(
            Study,
            coder.model,
            embeddings=field(context, embeddings),
            seed=coder.seed,
            budget=coder.budget,
            drafts=drafts,
        )

    return under(grounding.build(), study, keep=("criteria_set",))


def under(graph: Graph, context: Callable[[Any], Any], *, keep: Sequence[str]) -> Any:
    """Make a node that runs a graph with its own context.

    Args:
        graph: The graph; it gets the parts of the state that its input names.
        context: Makes its context from that of the outer graph.
        keep: Parts of its output to write to the state.

    Raises:
        ConfigError: If the graph cannot be compiled, or its output lacks a part in `keep`.
    """
    inner = compiled_form(graph)
    gives, takes = parts_of(graph, "output_schema"), parts_of(graph, "input_schema")
    if unknown := sorted(set(keep) - set(gives)):
        raise ConfigError(f"the graph gives no {unknown[0]!r}: {nearest(unknown[0], gives)}")

    async def run(state: dict[str, Any], runtime: Runtime[Any]) -> dict[str, Any]:
        entry = {name: state[name] for name in takes if name in state}
        output = await inner.ainvoke(entry, context=context(runtime.context))
        return {name: output[name] for name in keep}

    return run


def role(context: Any, name: str) -> Role:
    """Get a role from a context, by the name of its field.

    Raises:
        ConfigError: If the context has no such field, or the field holds no role or chat model. A
            model that is bound to options is refused, because a role sets the options of each
            call.
    """
    model = field(context, name)
    if isinstance(model, RunnableBinding):
        # the config of a model that `cast` has put in a role is the role's name
        bound = {*model.kwargs, *(() if isinstance(model, CastModel) else model.config)}
        if bound:
            raise ConfigError(
                f"expected {name!r} of the context as a model of its own, got one that is bound to "
                f"{', '.join(sorted(bound))}, which would be lost: give these to the model itself, "
                "as in connect('vllm:MODEL?temperature=0')"
            )
        model = model.bound
    if isinstance(model, BaseChatModel):
        return Role(name, model)
    if not isinstance(model, Role):
        raise ConfigError(
            f"expected a Role or a chat model as {name!r} of the context, got "
            f"{type(model).__name__}"
        )
    return model


def field(context: Any, name: str) -> Any:
    """Get a field of a context, which is an object or a mapping.

    Raises:
        ConfigError: If there is no such field; the message names the closest ones.
    """
    if context is None:
        raise ConfigError(f"expected {name!r} in the graph's context, got none; give context=")
    fields = context if isinstance(context, dict) else _fields(context)
    if name not in fields:
        raise ConfigError(f"the graph's context has no {name!r}: {nearest(name, fields)}")
    return fields[name]


def _fields(context: Any) -> dict[str, Any]:
    """The fields of an object, with those that its class inherits."""
    if isinstance(context, BaseModel):
        names = list(type(context).model_fields)
    else:
        names = [name for kind in type(context).__mro__ for name in inspect.get_annotations(kind)]
    return {name: getattr(context, name) for name in names if hasattr(context, name)}


def _judge(context: Any, name: str) -> Judge:
    judge = field(context, name)
    is_model = isinstance(judge, Role | BaseChatModel | RunnableBinding)
    return PromptedJudge((role(context, name),)) if is_model else judge
