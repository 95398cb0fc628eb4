"""Who takes part: every role has a model, and what cannot be is refused before it runs."""

from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from quillgraph.agents.judges import PromptedJudge
from quillgraph.backends.calls import Budget
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Workshop

COMMON, OTHER = (ScriptedChat(model=name, reply=lambda _: "") for name in ("common", "other"))


def roles_of(workshop: Workshop) -> dict[str, Any]:
    assert isinstance(workshop.judge, PromptedJudge)
    (judge,) = workshop.judge.roles
    parts = (workshop.writer, judge, workshop.reflector, workshop.consolidator)
    return {role.name: role for role in parts}


def test_every_role_has_the_common_model_but_for_those_that_are_named() -> None:
    roles = roles_of(cast(Workshop, COMMON, roles={"judge": OTHER}))
    assert tuple(roles) == WRITING_ROLES
    assert {name: role.model.model for name, role in roles.items()} == {
        "writer": "common", "judge": "other", "reflector": "common", "consolidator": "common",
    }  # fmt: skip


def test_the_roles_share_one_budget_and_one_seed() -> None:
    budget = Budget(max_calls=3)
    roles = roles_of(cast(Workshop, COMMON, budget=budget, seed=7))
    assert all(role.budget is budget and role.seed == 7 for role in roles.values())
    # without one they share one that has no end
    unbounded = {id(role.budget) for role in roles_of(cast(Workshop, COMMON)).values()}
    assert len(unbounded) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": {"jugde": OTHER}}, "unknown role 'jugde': did you mean 'judge'?"),
        ({"rounds": -1}, "expected rounds of 0 or more, got -1"),
        ({"samples": 0}, "expected samples of 1 or more, got 0"),
        ({"text_tokens": 0}, "expected text_tokens of 1 or more, got 0"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cast(Workshop, COMMON, **options)
    assert message in str(refused.value)


def test_a_model_without_schemas_may_write_and_do_nothing_else() -> None:
    foreign = FakeListChatModel(responses=["so"])
    cast(Workshop, COMMON, roles={"writer": foreign})
    with pytest.raises(ConfigError, match="role 'judge' needs json_schema"):
        cast(Workshop, COMMON, roles={"judge": foreign})
