"""`quillgraph criteria`: run the Grounded-Theory workflow and leave a run folder."""

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quillgraph.agents.tasks import writing_task
from quillgraph.backends import Budget, ChatBackend, Recorder, connect, connect_embeddings
from quillgraph.backends.errors import BudgetReached, InputError
from quillgraph.backends.local import default_backend
from quillgraph.cli.display import criteria_markdown, criteria_tree, summary
from quillgraph.cli.run_folder import RunFolder
from quillgraph.cli.settings import Settings
from quillgraph.graphs import criteria, provenance
from quillgraph.graphs.study import Grounding, Study

STAGES = {
    "split": "reading the request",
    "sampling": "sampling drafts, coding the request",
    "code_request": "sampling drafts, coding the request",
    "code_drafts": "coding the drafts",
    "axial_coding": "axial coding",
    "selective_coding": "selective coding",
    "criteria_writing": "writing and trying criteria",
    "freeze": "freezing",
}


def read_request(request: str | None, file: Path | None) -> str:
    """Take the request from the command line or from a file.

    Raises:
        InputError: If there is none, there are two, or the file is not UTF-8 text.
    """
    if (request is None) == (file is None):
        raise InputError("expected either a REQUEST or --file FILE; give one of them")
    if file is None:
        return str(request)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 text in {file}, got something else at byte {error.start}; "
            "save the file as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def run_criteria(request: str, settings: Settings, *, as_json: bool) -> None:
    """Find the criteria of a request and show them.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    task = writing_task(request)
    said = Console(stderr=True)
    if settings.backend is None:
        spec, reason = default_backend()
        settings = settings.model_copy(update={"backend": spec})
        said.print(f"backend {spec}: {reason}", style="dim", highlight=False)
    folder = RunFolder(settings.out, task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", task.request)
    folder.write_text("graph.mmd", criteria.build().compile().get_graph(xray=1).draw_mermaid())
    state = Grounding(task=task)
    with Recorder(folder.path / "calls.jsonl", run=folder.path.name) as recorder:
        try:
            asyncio.run(_study(state, settings, recorder, said))
            status = "done"
        except BaseException as error:
            status = type(error).__name__
            folder.finish(status, error=str(error), **_usage(recorder))
            raise
        finally:
            _keep(folder, state)
    folder.finish(status, **_usage(recorder))
    if as_json:
        sys.stdout.write(json.dumps(_result(state, folder), ensure_ascii=False) + "\n")
    else:
        Console().print(criteria_tree(state))
        said.print(summary(state), highlight=False)
        said.print(f"run folder: {folder.path}", style="dim", highlight=False)


async def _study(state: Grounding, settings: Settings, recorder: Recorder, said: Console) -> None:
    """Run the graph, keeping in `state` whatever has been reached."""
    async with AsyncExitStack() as stack:
        study = await _cast(settings, stack, said)
        try:
            async with asyncio.timeout(settings.timeout):
                await _follow(state, study, recorder, said)
        except TimeoutError as error:
            raise BudgetReached(
                f"the {settings.timeout:g} s of the run are over; raise --timeout"
            ) from error


async def _cast(settings: Settings, stack: AsyncExitStack, said: Console) -> Study:
    """Connect the backends, one per distinct spec, and start their engines."""
    backends: dict[str, ChatBackend] = {}

    def backend(spec: str) -> ChatBackend:
        if spec not in backends:
            backends[spec] = connect(spec)
            stack.push_async_callback(backends[spec].aclose)
        return backends[spec]

    study = Study.of(
        backend(str(settings.backend)),
        connect_embeddings(settings.embeddings),
        seed=settings.seed,
        budget=Budget(settings.max_calls, settings.max_tokens_total),
        roles={name: backend(spec) for name, spec in settings.roles.items()},
        drafts=settings.drafts,
        draft_tokens=settings.draft_tokens,
    )
    with said.status("starting the model"):
        for started in backends.values():
            await started.start()
    return study


async def _follow(state: Grounding, study: Study, recorder: Recorder, said: Console) -> None:
    """Stream the graph's progress to the terminal and its values into `state`."""
    graph = criteria.build().compile()
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=said, transient=True) as progress:
        bar = progress.add_task(STAGES["split"], total=len(STAGES))
        async for part in graph.astream(
            {"task": state["task"]},
            {"callbacks": [recorder], "recursion_limit": 100},
            context=study,
            stream_mode=["values", "updates"],
            version="v2",
        ):
            if part["type"] == "values":
                state.update(part["data"])
            else:
                for node in part["data"]:
                    progress.update(bar, advance=1, description=_next_stage(str(node)))


def _next_stage(node: str) -> str:
    names = list(STAGES)
    place = names.index(node) if node in names else -1
    return STAGES[names[min(place + 1, len(names) - 1)]]


def _keep(folder: RunFolder, state: Grounding) -> None:
    """Write what the study has reached."""
    folder.write_json("study.json", {k: v for k, v in state.items() if k != "criteria_set"})
    folder.write_lines("drafts.jsonl", state.get("drafts", []))
    if "criteria_set" not in state:
        return
    folder.write_json("criteria.json", state["criteria_set"])
    folder.write_text("criteria.md", criteria_markdown(state))
    graph = provenance.trace(state)
    provenance.write_json(graph, folder.path / "provenance.json")
    provenance.write_graphml(graph, folder.path / "provenance.graphml")
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
