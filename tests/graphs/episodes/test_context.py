"""A graph's context is made of what there is, by the types and names of its fields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from annotated_types import Ge
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, ConfigDict

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judges import Ballot, Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import (
    CastModel,
    Needs,
    cast,
    fitting,
    judges_of,
    measures_of,
    roles_of,
)
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.prebuilt.debate import DEBATING_ROLES, Arena
from quillgraph.graphs.prebuilt.voting import VOTING_ROLES, Panel
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Workshop
from quillgraph.graphs.study.state import ROLES, Study


def yes(request: ChatRequest) -> str:
    return "yes"


COMMON, OTHER = ScriptedChat(reply=yes), ScriptedChat(reply=yes)


def cast_of(schema: Any, **parts: Any) -> Any:
    return cast(schema, COMMON, embeddings=LexicalEmbeddings(), **parts)


@dataclass
class Desk:
    poet: Role
    critic: BaseChatModel
    judge: Judge
    space: Embeddings
    rounds: int
    tone: str = "dry"
    drawer: list[str] = field(default_factory=list)


def test_each_field_gets_what_its_type_asks_for_under_its_own_name() -> None:
    budget = Budget()
    desk = cast_of(Desk, roles={"critic": OTHER}, seed=5, budget=budget, rounds=2)
    assert desk.poet == Role("poet", COMMON, 5, budget)
    assert isinstance(desk.critic, CastModel)
    assert desk.critic.bound is OTHER
    assert isinstance(desk.judge, PromptedJudge)
    assert desk.judge.roles[0].name == "judge"
    assert isinstance(desk.space, LexicalEmbeddings)
    assert (desk.rounds, desk.tone, desk.drawer) == (2, "dry", [])


@pytest.mark.parametrize(
    ("schema", "roles"),
    [(Study, ROLES), (Workshop, WRITING_ROLES), (Arena, DEBATING_ROLES), (Panel, VOTING_ROLES)],
)
def test_our_contexts_are_made_by_the_same_rule(schema: Any, roles: tuple[str, ...]) -> None:
    assert set(roles_of(schema)) == set(roles)
    settings = {"text_tokens": 60, "drafts": 3, "rounds": 1, "samples": 2}
    context = cast_of(schema, **fitting(schema, settings))
    assert isinstance(context, schema)
    for name, value in settings.items():
        assert getattr(context, name, value) == value
    assert all(getattr(context, name) is not None for name in roles)


class Scored:
    """A trained scorer, as far as its being handed on goes."""

    name = "scored"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        return Ballot(())


def test_a_trained_scorer_stands_where_a_model_would_be_asked() -> None:
    scorer = Scored()
    desk = cast_of(Desk, judges={"judge": scorer}, rounds=2)
    assert desk.judge is scorer
    assert judges_of(Desk) == ("judge",)
    for schema, names in (
        (Workshop, ("judge",)),
        (Arena, ("judge",)),
        (Panel, ("first_judge", "second_judge", "third_judge")),
    ):
        assert judges_of(schema) == names
        context = cast_of(schema, judges={names[-1]: scorer})
        assert getattr(context, names[-1]) is scorer
        assert all(isinstance(getattr(context, name), PromptedJudge) for name in names[:-1])


class Typed(TypedDict, total=False):
    poet: BaseChatModel


class Plain(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    poet: Role
    rounds: int = 4


def test_a_context_may_be_a_typed_dict_or_a_pydantic_model() -> None:
    assert cast_of(Typed)["poet"].bound is COMMON
    assert cast_of(Plain).poet.model is COMMON
    assert cast_of(Plain).rounds == 4


def test_a_graph_without_a_context_gets_none() -> None:
    assert cast_of(None) is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Desk, r"unknown role 'pot': did you mean 'poet'\? valid: critic, judge, poet"),
        (None, "unknown role 'pot': the graph's context has no roles"),
    ],
)
def test_a_role_that_the_context_does_not_have_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cast_of(schema, roles={"pot": OTHER})


def test_a_field_that_nothing_fits_is_named() -> None:
    with pytest.raises(ConfigError, match="context Desk needs 'rounds' of type <class 'int'>"):
        cast_of(Desk)


def test_a_measure_that_the_context_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown measure 'round': did you mean 'rounds'\?"):
        cast_of(Desk, round=2)
    assert measures_of(Desk) == ("rounds", "tone", "drawer", "samples")
    assert measures_of(Typed) == ()
    assert fitting(Desk, {"rounds": 2, "drafts": 3}) == {"rounds": 2}


@dataclass
class Noted:
    poet: Annotated[Role, Needs("json_schema")]
    scribe: Role
    memory: Memory | None = None
    rounds: Annotated[int, Ge(2)] = 2


def test_what_a_field_says_of_itself_is_seen_to() -> None:
    plain = FakeListChatModel(responses=["so"])
    assert cast(Noted, COMMON, roles={"scribe": plain}, rounds=2).scribe.model is plain
    with pytest.raises(ConfigError, match="role 'poet' needs json_schema"):
        cast(Noted, COMMON, roles={"poet": plain})
    with pytest.raises(ConfigError, match="expected rounds of 2 or more, got 1"):
        cast(Noted, COMMON, rounds=1)
    with pytest.raises(ConfigError, match="expected samples of 1 or more, got 0"):
        cast_of(Desk, rounds=1, samples=0)


def test_a_memory_goes_into_the_field_of_that_type(tmp_path: Path) -> None:
    memory = Memory(InMemoryStore(), LexicalEmbeddings())
    assert cast(Noted, COMMON, memory=memory).memory is memory
    assert cast(Noted, COMMON).memory is None


@dataclass
class Own:
    poet: Role
    lines: int

    @classmethod
    def of(cls, model: BaseChatModel, *, seed: int, lines: int = 3) -> "Own":
        return cls(Role("poet", model, seed, Budget()), lines * 2)


def test_a_context_that_says_how_it_is_made_is_made_so() -> None:
    context = cast_of(Own, seed=4, lines=5)
    assert (context.lines, context.poet.seed) == (10, 4)
    assert cast_of(Own).lines == 6
    with pytest.raises(ConfigError, match=r"unknown measure 'line': did you mean 'lines'\?"):
        cast_of(Own, line=5)
