"""Roles: one prompt, one schema and one function each, on the values of Grounded Theory."""

from quillgraph.agents.checks import Check
from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    CriteriaSet,
    Criterion,
    Draft,
    Incident,
    WritingTask,
)
from quillgraph.agents.judgements import Judgement, Reward, Verdict, Violation
from quillgraph.agents.judges import (
    Ballot,
    Judge,
    PromptedJudge,
    PromptedPairJudge,
    refusal,
    reward,
    trained_judge,
)
from quillgraph.agents.memory import Lesson, MemoryEntry
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, some_of
from quillgraph.agents.requests import Constraint, find_constraints, segment, writing_task
from quillgraph.agents.role import Answers, Role, ask, ask_each, say

__all__ = [
    "Answers",
    "Ballot",
    "Category",
    "Check",
    "Code",
    "Constraint",
    "Core",
    "CriteriaSet",
    "Criterion",
    "Draft",
    "Incident",
    "Judge",
    "Judgement",
    "Lesson",
    "MemoryEntry",
    "PromptedJudge",
    "PromptedPairJudge",
    "Reward",
    "Role",
    "Verdict",
    "Violation",
    "WritingTask",
    "ask",
    "ask_each",
    "find_constraints",
    "form",
    "one_of",
    "refusal",
    "render",
    "reward",
    "say",
    "segment",
    "some_of",
    "trained_judge",
    "writing_task",
]
