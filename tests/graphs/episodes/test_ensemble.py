"""A graph's context is made of what there is, by the types and names of its fields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judges import Ballot, Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.cast import CastModel, Ensemble, context_for, judges_of, roles_of
from quillgraph.graphs.prebuilt.debate import DEBATING_ROLES, Arena
from quillgraph.graphs.prebuilt.voting import VOTING_ROLES, Panel
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Workshop
from quillgraph.graphs.study.state import ROLES, Study


def yes(request: ChatRequest) -> str:
    return "yes"


COMMON, OTHER = ScriptedChat(reply=yes), ScriptedChat(reply=yes)


def ensemble(**fields: Any) -> Ensemble:
    return Ensemble(model=COMMON, embeddings=LexicalEmbeddings(), **fields)


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
    desk = context_for(
        Desk, ensemble(roles={"critic": OTHER}, seed=5, budget=budget, measures={"rounds": 2})
    )
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
def test_our_contexts_are_made_by_their_own_rule(schema: Any, roles: tuple[str, ...]) -> None:
    assert set(roles_of(schema)) == set(roles)
    made = context_for(schema, ensemble(measures={"text_tokens": 60, "drafts": 3, "rounds": 1}))
    assert isinstance(made, schema)
    asked = {"text_tokens": 60, "drafts": 3, "rounds": 1}
    for name, value in asked.items():
        assert getattr(made, name, value) == value


class Scored:
    """A trained scorer, as far as its being handed on goes."""

    name = "scored"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        return Ballot(())


def test_a_trained_scorer_stands_where_a_model_would_be_asked() -> None:
    scorer = Scored()
    desk = context_for(Desk, ensemble(judges={"judge": scorer}, measures={"rounds": 2}))
    assert desk.judge is scorer
    assert judges_of(Desk) == ("judge",)
    for schema, names in (
        (Workshop, ("judge",)),
        (Arena, ("judge",)),
        (Panel, ("first_judge", "second_judge", "third_judge")),
    ):
        assert judges_of(schema) == names
        made = context_for(schema, ensemble(judges={names[-1]: scorer}))
        assert getattr(made, names[-1]) is scorer
        assert all(isinstance(getattr(made, name), PromptedJudge) for name in names[:-1])


class Typed(TypedDict, total=False):
    poet: BaseChatModel


class Plain(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    poet: Role
    rounds: int = 4


def test_a_context_may_be_a_typed_dict_or_a_pydantic_model() -> None:
    assert context_for(Typed, ensemble())["poet"].bound is COMMON
    assert context_for(Plain, ensemble()).poet.model is COMMON
    assert context_for(Plain, ensemble()).rounds == 4


def test_a_graph_without_a_context_gets_none() -> None:
    assert context_for(None, ensemble()) is None


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (Desk, r"unknown role 'pot': did you mean 'poet'\? valid: critic, judge, poet"),
        (None, "unknown role 'pot': the graph's context has no roles"),
    ],
)
def test_a_role_that_the_context_does_not_have_is_refused(schema: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        context_for(schema, ensemble(roles={"pot": OTHER}))


def test_a_field_that_nothing_fits_is_named() -> None:
    with pytest.raises(ConfigError, match="context Desk needs 'rounds' of type <class 'int'>"):
        context_for(Desk, ensemble())
