"""`quillgraph criteria`: run the Grounded-Theory workflow and leave a run folder."""

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from rich.console import Console

from quillgraph.agents.tasks import writing_task
from quillgraph.backends import Budget, ChatBackend, Recorder, connect, connect_embeddings
from quillgraph.backends.errors import (
    BackendError,
    BudgetReached,
    ConfigError,
    InputError,
    StorageError,
    nearest,
)
from quillgraph.backends.local import default_backend
from quillgraph.cli.display import criteria_markdown, criteria_tree, reached, summary
from quillgraph.cli.engine_log import engines_print_to
from quillgraph.cli.progress import Watch, follow, log_shown, plain_console
from quillgraph.cli.run_folder import RunFolder
from quillgraph.cli.settings import Settings
from quillgraph.graphs import criteria, provenance
from quillgraph.graphs.study import ROLES, Grounding, Study


@dataclass(frozen=True, slots=True)
class Engines:
    """What a run computes with."""

    chats: dict[str, ChatBackend]
    """Spec to the backend that all its roles share."""
    embeddings: Embeddings


def read_request(request: str | None, file: Path | None) -> str:
    """Take the request from the command line or from a file.

    Raises:
        InputError: If there is none, there are two, or it is not UTF-8 text.
    """
    if request is not None and file is not None:
        raise InputError("expected a REQUEST or --file FILE, got both; leave one of them out")
    try:
        if file is not None:
            return file.read_text(encoding="utf-8-sig")
        if request is not None:
            request.encode()  # the shell may have handed over bytes that are no text
            return request
    except UnicodeError as error:
        place = f"{file}, got something else at byte {getattr(error, 'start', 0)}; save it as"
        raise InputError(
            f"expected UTF-8 text in {place if file else 'the REQUEST; give it as'} UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    raise InputError("expected a REQUEST or --file FILE, got neither; say what is to be written")


def run_criteria(request: str, settings: Settings, *, as_json: bool) -> None:
    """Find the criteria of a request and show them.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    task = writing_task(request)
    said = plain_console(sys.stderr)
    if settings.backend is None:
        spec, reason = default_backend()
        settings = settings.model_copy(update={"backend": spec})
        said.print(f"backend {spec}: {reason}", style="dim")
    with log_shown(said):
        engines = _connected(settings)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", criteria.build().compile().get_graph(xray=1).draw_mermaid())
    state = Grounding(task=task)
    with Recorder(folder.path / "calls.jsonl", run=folder.path.name) as recorder:
        _supervise(state, settings, engines, recorder, folder)
    if as_json:
        sys.stdout.write(json.dumps(_result(state, folder), ensure_ascii=False) + "\n")
    else:
        Console().print(criteria_tree(state))
        said.print(summary(state))
    said.print(f"run folder: {folder.path}", style="dim")


def _connected(settings: Settings) -> Engines:
    """Connect each distinct spec once; starts nothing, but finds out what is misspelt."""
    if unknown := sorted(set(settings.roles) - set(ROLES)):
        raise ConfigError(f"unknown role {unknown[0]!r}: {nearest(unknown[0], ROLES)}")
    specs = dict.fromkeys([str(settings.backend), *settings.roles.values()])
    return Engines(
        chats={spec: connect(spec) for spec in specs},
        embeddings=connect_embeddings(settings.embeddings),
    )


def _supervise(
    state: Grounding, settings: Settings, engines: Engines, recorder: Recorder, folder: RunFolder
) -> None:
    """Run the study, and write down how it went however it ends."""
    log = folder.path / "engine.log"
    with engines_print_to(log) as terminal:
        said = plain_console(terminal)
        watch = Watch(said, recorder)
        try:
            with watch:
                asyncio.run(_study(state, settings, engines, recorder, watch))
            _keep(folder, state)
        except BaseException as error:
            said.print(f"stopped while {watch.stage}; {reached(state)}, kept in {folder.path}")
            _end(folder, state, recorder, error)
            if isinstance(error, BackendError) and log.stat().st_size:
                raise type(error)(f"{error}; the engine's own words are in {log}") from error
            raise
    folder.finish("done", **_usage(recorder))


async def _study(
    state: Grounding, settings: Settings, engines: Engines, recorder: Recorder, watch: Watch
) -> None:
    """Start the engines and run the graph, keeping in `state` whatever has been reached."""
    async with AsyncExitStack() as stack:
        for chat in engines.chats.values():
            stack.push_async_callback(chat.aclose)
        limit = asyncio.timeout(settings.timeout)
        try:
            study = await _cast(settings, engines)
            watch.finished("start")
            async with limit:
                await follow(state, study, recorder, watch)
        except asyncio.CancelledError:
            watch.stopping()  # an engine may take a while to close
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise BudgetReached(
                f"the {settings.timeout:g} s of the run are over; raise --timeout"
            ) from error


async def _cast(settings: Settings, engines: Engines) -> Study:
    """Give every role its model, and start the models."""
    study = Study.of(
        engines.chats[str(settings.backend)],
        engines.embeddings,
        seed=settings.seed,
        budget=Budget(settings.max_calls, settings.max_tokens_total),
        roles={name: engines.chats[spec] for name, spec in settings.roles.items()},
        drafts=settings.drafts,
        draft_tokens=settings.draft_tokens,
    )
    for chat in engines.chats.values():
        await chat.start()
    return study


def _end(folder: RunFolder, state: Grounding, recorder: Recorder, error: BaseException) -> None:
    """Write down that a run ended early, and what it had reached."""
    status = {KeyboardInterrupt: "interrupted", BudgetReached: "budget reached"}
    told = f"{type(error).__name__}: {error}".removesuffix(": ")
    try:
        _keep(folder, state)
        folder.finish(status.get(type(error), "failed"), error=told, **_usage(recorder))
    except StorageError:
        # a disk that is full has ended the run already; another end is told for what it was
        if not isinstance(error, StorageError):
            raise


def _keep(folder: RunFolder, state: Grounding) -> None:
    """Write what the study has reached."""
    folder.write_json("study.json", {k: v for k, v in state.items() if k != "criteria_set"})
    folder.write_lines("drafts.jsonl", state.get("drafts", []))
    if "criteria_set" not in state:
        return
    folder.write_json("criteria.json", state["criteria_set"])
    folder.write_text("criteria.md", criteria_markdown(state))
    graph = provenance.trace(state)
    folder.write("provenance.json", partial(provenance.write_json, graph))
    folder.write("provenance.graphml", partial(provenance.write_graphml, graph))
    folder.write_text("provenance.mmd", provenance.mermaid(graph))


def _usage(recorder: Recorder) -> dict[str, int]:
    return {
        "calls": recorder.calls,
        "failed_calls": recorder.failed,
        "prompt_tokens": recorder.prompt_tokens,
        "completion_tokens": recorder.completion_tokens,
    }


def _result(state: Grounding, folder: RunFolder) -> dict[str, Any]:
    done = state["criteria_set"]
    cited = {incident for criterion in done.criteria for incident in criterion.evidence}
    reasons = Counter(f"{entry.stage}: {entry.reason}" for entry in state["dropped"])
    return {
        "run": str(folder.path),
        "criteria_set": done.model_dump(mode="json"),
        "evidence": {
            incident.id: incident.model_dump(mode="json")
            for incident in state["incidents"]
            if incident.id in cited
        },
        "coverage": done.stats["coverage"],
        "saturation": done.stats["saturation"],
        "dropped": dict(reasons),
    }
