"""Run-time context of the graphs that write and judge, and the state of the reflection loop."""

import operator
from dataclasses import dataclass
from typing import Annotated, TypedDict

from annotated_types import Ge

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.memory import Lesson
from quillgraph.agents.replies import Aside
from quillgraph.agents.role import Role
from quillgraph.agents.writers import Plan, Precedents, Reflection
from quillgraph.backends.messages import TokenTrace
from quillgraph.graphs.episodes.context import StructuredJudge, StructuredRole
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.memory.library import Library
from quillgraph.graphs.memory.memory import Memory

WRITING_ROLES = ("writer", "judge", "reflector", "consolidator")
"""Roles of the reflection loop; a model plays each."""

ROUNDS = 3
"""Most revisions (`ALGORITHM.md` 6.4)."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The run-time context of the graphs that write and judge.

    Make it with `cast(Workshop, …)`.
    """

    writer: Role
    judge: StructuredJudge
    reflector: StructuredRole
    consolidator: StructuredRole
    memory: Memory | None = None
    """Memory to recall lessons from and save them to; None for no memory."""
    library: Library | None = None
    """Library that the scores of texts are reported to; None for no library."""
    rounds: Annotated[int, Ge(0)] = ROUNDS
    text_tokens: Annotated[int, Ge(1)] = 512
    """Most tokens of a text."""


class Assignment(TypedDict):
    """Input of the loop."""

    task: WritingTask
    criteria_set: CriteriaSet


class ReflectionOutput(TypedDict):
    """Output of the loop."""

    episode: WrittenEpisode


class Reflecting(Assignment, ReflectionOutput, total=False):
    """State of the loop."""

    precedents: Precedents
    shown: tuple[Lesson, ...]
    """Lessons in the prompts of the next text."""
    lessons: tuple[Lesson, ...]
    """All lessons recalled in the episode."""
    reflections: tuple[Reflection, ...]
    plan: Plan
    text: str
    trace: TokenTrace | None
    aside: Aside
    judgement: Judgement
    reward: Reward
    attempts: Annotated[list[Attempt], operator.add]
    best: int
    stopped: str | None
    is_complete: bool
    learned: tuple[Lesson, ...]
    dropped: Annotated[list[Dropped], operator.add]
