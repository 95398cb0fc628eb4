"""Criteria from a single prompt: the baseline that a study of the request has to beat."""

from typing import Any

from pydantic import BaseModel

from quillgraph.agents.domain import TIER_WEIGHT, Criterion, WritingTask
from quillgraph.agents.lenses.anchors import levels_form
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, text
from quillgraph.agents.role import Answers, Role, ask_each

CRITERIA = 5
"""Number of criteria to ask for, as in WritingBench (arXiv:2503.05244)."""

TOKENS_PER_CRITERION = 320
"""Tokens of the longest English criterion that the schema allows, with its JSON."""

STAGE = "one-shot criteria"

WHOLE_REQUEST = ("i1",)
"""Evidence of a criterion without evidence of its own: the request as a whole."""


async def one_shot_criteria(task: WritingTask, role: Role) -> Answers[Criterion]:
    """Ask for all criteria of a request at once, and drop those that cannot be parsed.

    All have the same weight, because a single prompt yields no core category to weigh by.
    """
    answers = await ask_each(
        role,
        render("one_shot", request=role.brief(task)),
        _criterion_form(),
        item="one-shot",
        stage=STAGE,
        at_least=CRITERIA,
        at_most=CRITERIA,
        temperature=0.5,
        max_tokens=CRITERIA * TOKENS_PER_CRITERION,
    )
    criteria = tuple(_criterion(number, each) for number, each in enumerate(answers.items, 1))
    return Answers(criteria, answers.dropped, answers.reply)


def _criterion(number: int, reply: Any) -> Criterion:
    levels = reply.levels.model_dump(by_alias=True)
    return Criterion(
        id=f"o{number}",
        name=reply.name.strip(" .,:;\"'"),
        description=reply.description.strip(),
        kind="soft",
        tier="important",
        weight=TIER_WEIGHT["important"],
        levels={band: level.strip() for band, level in levels.items()},
        category_id=None,
        evidence=WHOLE_REQUEST,
    )


def _criterion_form() -> type[BaseModel]:
    return form(
        "OneShotCriterion", name=text(4, 50), description=text(12, 200), levels=levels_form()
    )
