"""A study from its request to its criteria, whole or as far as it came."""

import typing
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget, Recorder, recorder_of
from quillgraph.backends.embeddings import connect_embeddings
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.memory.library import Library
from quillgraph.graphs.study import workflow
from quillgraph.graphs.study.state import Grounding, Study

EMBEDDINGS = "minilm"
"""The built-in model that compares codes where none is given."""

MOST_STEPS = 100

GROWING = ("drafts", "incidents")
"""What the nodes of a stage add to one by one."""

REPLACED = ("codes", "saturation", "categories", "core", "tiers")
"""What a node of a stage writes whole."""

Notice = Callable[[str], object]
"""Is handed the name of each node of a graph as it finishes."""


class StudyMeasures(TypedDict, total=False):
    """What a study may be given beside its models; what is left out is as in a `Study`."""

    embeddings: Embeddings | None
    """Compare codes; None takes the built-in MiniLM."""
    seed: int
    budget: Budget | None
    library: Library | Path | None
    """What criteria are compared with and left to; a path is opened for the study."""
    contrast: bool
    drafts: int
    draft_tokens: int
    record: Recorder | Path | None
    """File that each call is added to as it ends, or the recorder that writes it."""


class StudyOptions(StudyMeasures, total=False):
    """What a search for criteria may be given besides."""

    roles: Mapping[str, BaseChatModel]
    """Another model for some of the roles."""


@dataclass(slots=True)
class StudyRun:
    """A study in progress."""

    state: Grounding
    """What has been reached, and stays so however the study ends."""

    @classmethod
    def of(cls, task: WritingTask) -> "StudyRun":
        """Begin with nothing but the task."""
        return cls(Grounding(task=task))

    async def run(self, study: Study, recorder: Recorder, notice: Notice = str) -> CriteriaSet:
        """Run the workflow, keeping in `state` whatever it reaches.

        Args:
            study: Who takes part.
            recorder: Writes down the calls.
            notice: Is told of each node of the workflow that has finished.

        Raises:
            QuillError: Whatever ends the study early.
        """
        graph = workflow.build().compile()
        async for part in graph.astream(
            {"task": self.state["task"]},
            {"callbacks": [recorder], "recursion_limit": MOST_STEPS},
            context=study,
            stream_mode=["values", "updates"],
            subgraphs=True,
            version="v2",
        ):
            if part["type"] == "updates":
                for node, update in part["data"].items():
                    notice(node if not part["ns"] else "")
                    self._take(update or {})
            elif part["type"] == "values" and not part["ns"]:
                self.state.update(part["data"])
        return self.state["criteria_set"]

    def _take(self, update: dict[str, Any]) -> None:
        """Keep what a node wrote; its stage may not live to hand it over."""
        state = typing.cast("dict[str, Any]", self.state)  # the keys come from the tuples above
        state.update({key: update[key] for key in REPLACED if key in update})
        for key in GROWING:
            known = {entry.id for entry in state.get(key, [])}
            new = [entry for entry in update.get(key, []) if entry.id not in known]
            if new:
                state[key] = [*state.get(key, []), *new]


async def find_criteria(
    request: WritingTask | str, model: BaseChatModel, **options: Unpack[StudyOptions]
) -> CriteriaSet:
    """Find the criteria of a writing request by Grounded Theory (`ALGORITHM.md` 6.2).

    Args:
        request: What is to be written.
        model: Plays every role that `roles` gives no other model.
        options: As `StudyOptions` says.

    Returns:
        The criteria, frozen and hashed; each rests on words of the request or of a draft.

    Raises:
        InputError: If the request is blank.
        ConfigError: On an unknown role, a measure out of range, or a model that lacks what its
            role needs.
        BudgetReached: If the budget ends before the criteria are there.
        BackendError: If a model cannot be reached, or refuses.
        ReplyError: If a model is not understood where it must be.
    """
    return (await ground_criteria(request, model, **options))["criteria_set"]


async def ground_criteria(
    request: WritingTask | str, model: BaseChatModel, **options: Unpack[StudyOptions]
) -> Grounding:
    """Find criteria, and give all that led to them: drafts, codes, categories, trials, memos.

    Args:
        request: What is to be written.
        model: Plays every role that `roles` gives no other model.
        options: As `StudyOptions` says.

    Raises:
        QuillError: As `find_criteria` does.
    """
    run = StudyRun.of(writing_task(request) if isinstance(request, str) else request)
    embeddings = options.get("embeddings") or connect_embeddings(EMBEDDINGS)
    measures: dict[str, Any] = {k: v for k, v in options.items() if k not in _BESIDE}
    async with opened_library(options.get("library"), embeddings) as library:
        study = cast(Study, model, embeddings=embeddings, library=library, **measures)
        with recorder_of(options.get("record"), "study", options.get("budget")) as recorder:
            await run.run(study, recorder)
    return run.state


_BESIDE = {"embeddings", "library", "record"}
"""Options of a search that are no measures of a `Study`."""


@asynccontextmanager
async def opened_library(
    library: Library | Path | None, embeddings: Embeddings
) -> AsyncIterator[Library | None]:
    """A library for the time of a study: a file is opened, an open library stays open.

    Raises:
        ConfigError: If it was made with other embeddings.
        StorageError: If it cannot be read or written.
    """
    if not isinstance(library, Path):
        yield library
        return
    async with Library.open(library, embeddings) as opened:
        await opened.ready()  # what is wrong with it must not cost the study
        yield opened
