"""Write a text under criteria, from a request to an episode, and keep what an early end leaves."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from quillgraph.agents.domain import CriteriaSet, Dropped, WritingTask
from quillgraph.agents.judges import Judge
from quillgraph.agents.memory import Lesson
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Recorder, recorder_of
from quillgraph.backends.embeddings import connect_embeddings
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.workshop import WRITING_ROLES, Assignment, Workshop
from quillgraph.graphs.study.run import (
    EMBEDDINGS,
    Notice,
    StudyMeasures,
    StudyRun,
    opened_library,
)
from quillgraph.graphs.study.state import ROLES, Study

JUDGE = "judge"
"""The role that a trained scorer can play."""


class WritingOptions(StudyMeasures, total=False):
    """Options of `write`; the defaults are those of `Workshop` and `Study`."""

    criteria: CriteriaSet | None
    """Criteria to judge the text by; None finds them first."""
    roles: Mapping[str, BaseChatModel | Judge]
    """Models of the roles that `model` is not to play, or a trained judge for `judge`."""
    memory: Memory | Path | None
    """Memory to recall lessons from and save them to; a path is opened for the episode."""
    rounds: int
    text_tokens: int
    samples: int


@dataclass(slots=True)
class WritingRun:
    """A reflection loop in progress."""

    task: WritingTask
    criteria_set: CriteriaSet
    episode: WrittenEpisode | None = None
    """The finished episode, or what an episode that ended early has reached."""
    lessons: tuple[Lesson, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    async def run(self, workshop: Workshop, recorder: Recorder, notice: Notice = str) -> None:
        """Run the loop, and keep what it reaches in `episode`.

        Args:
            workshop: Context of the loop: roles, memory, library.
            recorder: Records the calls.
            notice: Called with the name of each finished node.

        Raises:
            QuillError: Any error that ends the loop before a text is judged.
        """
        graph = reflection.build().compile()
        async for part in graph.astream(
            Assignment(task=self.task, criteria_set=self.criteria_set),
            {"callbacks": [recorder], "recursion_limit": 20 + 8 * workshop.rounds},
            context=workshop,
            stream_mode=["updates"],
            version="v2",
        ):
            if part["type"] == "updates":
                for node, update in part["data"].items():
                    notice(node)
                    self._take(update or {})

    def _take(self, update: dict[str, Any]) -> None:
        self.lessons = update.get("lessons", self.lessons)
        self.dropped += tuple(update.get("dropped", ()))
        if "attempts" in update:
            self.episode = self._unfinished(update["attempts"], update["best"])
        self.episode = update.get("episode", self.episode)

    def _unfinished(self, new: list[Attempt], best: int) -> WrittenEpisode:
        """The episode as it is if the loop ends now."""
        return WrittenEpisode(
            task=self.task,
            criteria_set=self.criteria_set,
            lessons=self.lessons,
            attempts=(*(self.episode.attempts if self.episode else ()), *new),
            best=best,
            stopped="the run ended before the loop did",
            is_complete=False,
            dropped=self.dropped,
        )


async def write(
    request: WritingTask | str, model: BaseChatModel, **options: Unpack[WritingOptions]
) -> WrittenEpisode:
    """Write a text: find criteria unless they are given, draft, judge, reflect, revise.

    A revision is accepted only if it raises the reward, adds no violation and costs no essential
    criterion; else it is rolled back (`ALGORITHM.md` 6.4).

    Args:
        request: What is to be written.
        model: Plays every role that `roles` does not give to another model.
        options: See `WritingOptions`.

    Returns:
        The episode: `text` is the final text, `attempts` holds all texts with their judgements. If
        a budget ended the loop, `is_complete` is false and `stopped` says why.

    Raises:
        InputError: If the request is blank.
        ConfigError: On an unknown role, an option out of range, or a model that lacks what its
            role needs.
        BudgetReached: If the budget ends before a first text is judged.
        BackendError: If a model cannot be reached, or refuses the call.
        ReplyError: If a reply that the loop cannot do without cannot be parsed.
    """
    task = writing_task(request) if isinstance(request, str) else request
    criteria, record = options.get("criteria"), options.get("record")
    players, judges = _split_roles(options.get("roles") or {})
    embeddings = _embeddings(options)
    async with (
        opened_memory(options.get("memory"), embeddings) as memory,
        opened_library(options.get("library"), embeddings) as library,
    ):
        workshop = cast(
            Workshop,
            model,
            roles=_pick(WRITING_ROLES, players),
            judges=judges,
            memory=memory,
            library=library,
            **_pick(("seed", "budget", "rounds", "text_tokens", "samples"), options),
        )
        study = criteria or cast(
            Study,
            model,
            embeddings=embeddings,
            roles=_pick(ROLES, players),
            library=library,
            **_pick(("seed", "budget", "contrast", "drafts", "draft_tokens"), options),
        )
        with recorder_of(record, "write", options.get("budget")) as recorder:
            if isinstance(study, Study):
                study = await StudyRun.of(task).run(study, recorder)
            run = WritingRun(task, study)
            await run.run(workshop, recorder)
    assert run.episode is not None
    return run.episode


def _pick(names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with these names, as far as they are given."""
    return {name: options[name] for name in names if name in options}


def _embeddings(options: WritingOptions) -> Embeddings:
    """Embeddings for codes and requests; no model is loaded if nothing will be compared."""
    if embeddings := options.get("embeddings"):
        return embeddings
    stores = (options.get("memory"), options.get("library"))
    is_needed = options.get("criteria") is None or any(isinstance(each, Path) for each in stores)
    return connect_embeddings(EMBEDDINGS if is_needed else "lexical")


def _split_roles(
    roles: Mapping[str, BaseChatModel | Judge],
) -> tuple[dict[str, BaseChatModel], dict[str, Judge]]:
    """Split the models of the roles into chat models and trained judges.

    Raises:
        ConfigError: On an unknown role, or a judge for a role that has to write.
    """
    known = (*ROLES, *WRITING_ROLES)
    if unknown := sorted(set(roles) - set(known)):
        raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], known)}")
    players: dict[str, BaseChatModel] = {}
    judges: dict[str, Judge] = {}
    for name, player in roles.items():
        if isinstance(player, BaseChatModel):
            players[name] = player
        elif name == JUDGE:
            judges[name] = player
        else:
            raise ConfigError(
                f"role {name!r} has to write, and {player.name!r} gives scores alone; a trained "
                f"scorer can stand for {JUDGE}"
            )
    return players, judges


@asynccontextmanager
async def opened_memory(
    memory: Memory | Path | None, embeddings: Embeddings
) -> AsyncIterator[Memory | None]:
    """Provide a memory for an episode: open a file and close it after; leave an open memory open.

    Raises:
        ConfigError: If a newer version of the package, or another program, wrote the file.
        StorageError: If the file cannot be read or written.
    """
    if not isinstance(memory, Path):
        yield memory
        return
    async with Memory.open(memory, embeddings) as opened:
        yield opened
