"""Who is let into a study."""

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from quillgraph.backends.calls import Budget
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study.state import ROLES, Study


def scripted() -> ScriptedChat:
    return ScriptedChat(reply=lambda _: "so")


def study_of(model: Any = None, **options: Any) -> Study:
    return cast(Study, model or scripted(), embeddings=LexicalEmbeddings(), **options)


def test_every_role_gets_the_same_model_but_those_that_have_their_own() -> None:
    common, other = scripted(), scripted()
    study = study_of(common, roles={"coder": other})
    parts = {name: getattr(study, name) for name in ROLES}
    assert parts.pop("coder").model is other
    assert all(role.model is common for role in parts.values())
    assert {role.name for role in parts.values()} == set(ROLES) - {"coder"}


def test_all_roles_share_one_budget_and_one_seed() -> None:
    budget = Budget(max_calls=1)
    study = study_of(budget=budget, seed=7)
    assert all(getattr(study, name).budget is budget for name in ROLES)
    # derived from the run's seed and the role's name, so no two roles repeat each other
    assert len({getattr(study, name).seed_for("i1") for name in ROLES}) == len(ROLES)
    assert study.coder.seed_for("i1") != study_of(seed=8).coder.seed_for("i1")
    assert study.coder.seed_for("i1") == study_of(seed=7).coder.seed_for("i1")


def test_an_unknown_role_is_refused_with_the_name_that_may_be_meant() -> None:
    with pytest.raises(ConfigError, match=r"unknown role 'codr': did you mean 'coder'\?"):
        study_of(roles={"codr": scripted()})


def test_fewer_than_no_drafts_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected drafts of 0 or more, got -1"):
        study_of(drafts=-1)


def test_a_foreign_model_is_refused_where_a_schema_has_to_be_kept() -> None:
    foreign = FakeListChatModel(responses=["so"])
    with pytest.raises(ConfigError) as refusal:
        study_of(roles={"coder": foreign})
    message = str(refusal.value)
    assert "role 'coder' needs json_schema" in message
    assert "FakeListChatModel does not offer" in message
    assert "--role coder=" in message


def test_a_foreign_model_may_write_drafts() -> None:
    foreign = FakeListChatModel(responses=["so"])
    assert study_of(roles={"sampler": foreign}).sampler.model is foreign


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"sampler"}))
def test_every_role_but_the_sampler_needs_a_schema(role: str) -> None:
    with pytest.raises(ConfigError, match=f"role '{role}' needs json_schema"):
        study_of(roles={role: FakeListChatModel(responses=["so"])})
