"""Run a study from its request to its criteria, and keep what one that ends early has reached."""

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
"""The built-in embedding model, which compares codes if the caller gives no other."""

MOST_STEPS = 100

GROWING = ("drafts", "incidents")
"""Parts of the state that the nodes of a stage append to."""

REPLACED = ("codes", "saturation", "categories", "core", "tiers")
"""Parts of the state that a node of a stage replaces."""

Notice = Callable[[str], object]
"""Called with the name of each node of a graph as it finishes."""


class StudyMeasures(TypedDict, total=False):
    """Options of a study beside its models; the defaults are those of `Study`."""

    embeddings: Embeddings | None
    """Embeddings that compare codes; None takes the built-in MiniLM."""
    seed: int
    budget: Budget | None
    library: Library | Path | None
    """Library to compare criteria with and save them to; a path is opened for the study."""
    contrast: bool
    drafts: int
    draft_tokens: int
    record: Recorder | Path | None
    """File to append each finished call to, or the recorder that writes it."""


class StudyOptions(StudyMeasures, total=False):
    """Options of `find_criteria` and `ground_criteria`."""

    roles: Mapping[str, BaseChatModel]
    """Models of the roles that `model` is not to play."""


@dataclass(slots=True)
class StudyRun:
    """A study in progress."""

    state: Grounding
    """What the study has reached; it remains if the study ends early."""

    @classmethod
    def of(cls, task: WritingTask) -> "StudyRun":
        """Start a study from its task."""
        return cls(Grounding(task=task))

    async def run(self, study: Study, recorder: Recorder, notice: Notice = str) -> CriteriaSet:
        """Run the workflow, and keep what it reaches in `state`.

        Args:
            study: Context of the workflow: roles, embeddings, library.
            recorder: Records the calls.
            notice: Called with the name of each finished node of the workflow, and with "" for a
                node within a stage.

        Raises:
            QuillError: Any error that ends the study early.
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
        """Keep the update of a node within a stage: the stage may end early and never return it."""
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
        model: Plays every role that `roles` does not give to another model.
        options: See `StudyOptions`.

    Returns:
        The criteria, frozen and hashed; each rests on words of the request or of a draft.

    Raises:
        InputError: If the request is blank.
        ConfigError: On an unknown role, an option out of range, or a model that lacks what its
            role needs.
        BudgetReached: If the budget ends before the criteria are there.
        BackendError: If a model cannot be reached, or refuses the call.
        ReplyError: If a reply that the study cannot do without cannot be parsed.
    """
    return (await ground_criteria(request, model, **options))["criteria_set"]


async def ground_criteria(
    request: WritingTask | str, model: BaseChatModel, **options: Unpack[StudyOptions]
) -> Grounding:
    """Find criteria, and return all that led to them: drafts, codes, categories, trials, memos.

    Args:
        request: What is to be written.
        model: Plays every role that `roles` does not give to another model.
        options: See `StudyOptions`.

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
"""Options that are not passed on to `cast(Study, …)` as they are."""


@asynccontextmanager
async def opened_library(
    library: Library | Path | None, embeddings: Embeddings
) -> AsyncIterator[Library | None]:
    """Provide a library for a study: open a file and close it after; leave an open library open.

    Raises:
        ConfigError: If the library was made with other embeddings.
        StorageError: If the file cannot be read or written.
    """
    if not isinstance(library, Path):
        yield library
        return
    async with Library.open(library, embeddings) as opened:
        await opened.ready()  # find a broken library now, before the study costs anything
        yield opened
