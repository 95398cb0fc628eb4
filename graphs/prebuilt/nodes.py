"""Nodes for graphs of one's own: a role of the context does one thing with the state.

Each function here makes an ordinary LangGraph node: `graph.add_node("judge", nodes.judge())`. It
reads and writes the parts of the state that its types name (`task`, `criteria_set`, `text`,
`judgement`, `reward`, `plan`), and takes its role from the field of the context of that name: a
`Role`, or a bare chat model. A part that one node reads need not be declared; one that is only
written must be, or LangGraph drops it.

A whole graph of this package goes in as it is, compiled, where the context has the fields of its
own (`Workshop`, `Arena`, `Panel`), and by `under` where it has not.
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
    """An asynchronous node, as LangGraph takes it."""

    async def __call__(self, state: S_contra, runtime: Runtime[Any]) -> U_co:
        """Read the state, return the update."""


class Commission(TypedDict):
    """What a draft is written from."""

    task: WritingTask


class WriterOutput(TypedDict):
    """What a writer gives."""

    text: str


class JudgeOutput(TypedDict):
    """What a judge gives."""

    judgement: Judgement
    reward: Reward


class ReflectorInput(judging.Submission):
    """A text that has been judged."""

    judgement: Judgement


class ReflectorOutput(TypedDict):
    """What a reflector gives."""

    plan: reflecting.Plan


class ReviserInput(TypedDict):
    """What a revision is written from."""

    task: WritingTask
    text: str
    plan: reflecting.Plan


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """A context with nothing but a judge in it."""

    judge: Judge


def draft(
    by: str = "writer", *, max_tokens: int = 512, number: int = 0
) -> Node[Commission, WriterOutput]:
    """Make a node that writes `text` for the `task`.

    Args:
        by: Role that writes.
        max_tokens: Longest text.
        number: Tells apart drafts of the same role; each has seeds of its own.
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
    """Make a node that gives `judgement` and `reward` of the `text` under the `criteria_set`.

    It raises `BudgetReached` where a budget does not reach for the judge.
    """

    async def judge(state: judging.Submission, runtime: Runtime[Any]) -> JudgeOutput:
        # a node's state holds all that its type names, and the graph within takes no more
        submission = judging.Submission(
            task=state["task"], criteria_set=state["criteria_set"], text=state["text"]
        )
        assessed = await judging.assess(submission, JudgeContext(_judge(runtime.context, by)))
        if assessed.unpaid:
            raise BudgetReached(assessed.unpaid)
        return {"judgement": assessed.judgement, "reward": assessed.reward}

    return judge


def reflect(by: str = "reflector", *, number: int = 0) -> Node[ReflectorInput, ReflectorOutput]:
    """Make a node that lays a `plan` for the weakest criteria of the judged `text`.

    Args:
        by: Role that reflects.
        number: Tells apart reflections on the same text.
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
    """Make a node that writes the `text` again under the `plan`.

    It has no say in whether the revision may stand: see `agents.writers.refusals`.

    Args:
        by: Role that writes.
        max_tokens: Longest text.
        number: Tells apart revisions of the same text.
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
    """Make a node that finds the `criteria_set` of the `task`, by the whole of Grounded Theory.

    Args:
        by: Role whose model, seed and budget all parts of the study share.
        embeddings: Field of the context that serves constant comparison.
        drafts: Drafts to sample and read.
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
    """Make a node that runs a graph under a context of its own.

    Args:
        graph: The graph; it gets those parts of the state that its input names.
        context: Makes its context of the one around it.
        keep: Parts of its output that the state gets.

    Raises:
        ConfigError: If the graph cannot be compiled or gives no such part.
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
    """A role of a context, by the name of its field.

    Raises:
        ConfigError: If there is no such field, or something else is in it, such as a model that
            was bound to options: a role sets those of each of its calls.
    """
    model = field(context, name)
    if isinstance(model, RunnableBinding):
        # a model that was cast in a role has the role's name as its config
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
    """A field of a context, be it an object or a mapping.

    Raises:
        ConfigError: If there is none, naming those that there are.
    """
    if context is None:
        raise ConfigError(f"expected {name!r} in the graph's context, got none; give context=")
    fields = context if isinstance(context, dict) else _fields(context)
    if name not in fields:
        raise ConfigError(f"the graph's context has no {name!r}: {nearest(name, fields)}")
    return fields[name]


def _fields(context: Any) -> dict[str, Any]:
    """The fields of an object, with those that its class has from others."""
    if isinstance(context, BaseModel):
        names = list(type(context).model_fields)
    else:
        names = [name for kind in type(context).__mro__ for name in inspect.get_annotations(kind)]
    return {name: getattr(context, name) for name in names if hasattr(context, name)}


def _judge(context: Any, name: str) -> Judge:
    judge = field(context, name)
    is_model = isinstance(judge, Role | BaseChatModel | RunnableBinding)
    return PromptedJudge((role(context, name),)) if is_model else judge
