"""`quillgraph run`: start or resume a run, and show its results."""

import json
import sys
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import asdict

from rich.console import Console

from quillgraph.agents.criteria import read_criteria
from quillgraph.agents.text import amount, visible
from quillgraph.backends.errors import ConfigError, InputError, QuillError
from quillgraph.cli.commands.batch import BatchWork
from quillgraph.cli.display.episode import in_a_line, whole
from quillgraph.cli.display.items import write_json
from quillgraph.cli.session.engines import budget_of, connected, recorded_run, with_backend
from quillgraph.cli.session.inputs import read_inputs
from quillgraph.cli.session.options import Choices, RunOrder
from quillgraph.cli.session.progress import announce, plain_console, watch_on
from quillgraph.cli.session.settings import Settings, load_settings
from quillgraph.graphs.episodes import (
    Batch,
    Graph,
    judges_of,
    read_episodes,
    registry,
    roles_of,
    schema_of,
)
from quillgraph.graphs.supervision import (
    FAILURES,
    KEPT,
    Inputs,
    RunFolder,
    alone_in,
    charge_earlier,
    goes_on_as_begun,
    kept_inputs,
    mermaid_of,
    read_answers,
    refuse_unknown_questions,
    supervise,
)

DRAWING, CRITERIA = "graph.mmd", "criteria.json"


def begin_run(order: RunOrder, settings: Settings, *, as_json: bool) -> None:
    """Run a graph in a new folder.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
    """
    if order.graph is None:
        raise ConfigError(
            "expected a GRAPH or --resume RUN_DIR, got neither; `quillgraph graphs` lists them"
        )
    graph = registry.build(order.graph)
    drawing = mermaid_of(graph)
    criteria = read_criteria(order.criteria_file) if order.criteria_file else None
    inputs = read_inputs(
        graph, order.request, order.input_file, {"criteria_set": criteria} if criteria else {}
    )
    settings = with_backend(settings, plain_console(sys.stderr))
    folder = RunFolder(settings.out, order.graph, settings.model_dump(mode="json"))
    folder.note(graph=registry.lasting(order.graph))
    folder.write_text(KEPT[inputs.kind], inputs.text)
    folder.write_text(DRAWING, drawing)
    if criteria:
        folder.write_json(CRITERIA, criteria)
    with alone_in(folder.path):
        _run(graph, inputs, settings, folder, answers=order.answer, as_json=as_json)


def resume_run(order: RunOrder, choices: Choices, *, as_json: bool) -> None:
    """Resume a run: finished episodes stay, the others continue where they stopped.

    Args:
        order: Folder of the run, and optionally an answer. All else must be absent: a run
            resumes with its own graph and input.
        choices: New budgets and time limit, and nothing else.
        as_json: Show the result for machines.

    Raises:
        ConfigError: If an option is given that a resumed run does not take, or the graph has
            changed.
        QuillError: When the run fails; finished work is already in the run folder.
    """
    path = order.resume
    assert path is not None
    goes_on_as_begun({**asdict(order), **choices.others, "answer": None, "resume": None})
    with alone_in(path):
        folder = RunFolder.reopened(path.absolute())
        if not (spec := folder.facts.get("graph")):
            raise InputError(
                f"expected a run of `quillgraph run` in {path}, got one of another command"
            )
        # a cassette belongs to one process: a resumed run does not overwrite the earlier one
        options = {
            **folder.facts["settings"],
            "record": None,
            **choices.limits,
        }
        with chdir(folder.began_in):
            graph = registry.build(spec)
            if mermaid_of(graph) != (folder.path / DRAWING).read_text(encoding="utf-8"):
                raise ConfigError(
                    f"graph {spec} has changed since the run in {path} began; start a new one"
                )
            criteria = folder.path / CRITERIA
            extra = {"criteria_set": read_criteria(criteria)} if criteria.exists() else {}
            inputs, settings = (
                kept_inputs(graph, folder.path, extra),
                load_settings(None, **options),
            )
            _run(graph, inputs, settings, folder, answers=order.answer, as_json=as_json)


def _run(
    graph: Graph,
    inputs: Inputs,
    settings: Settings,
    folder: RunFolder,
    *,
    answers: Sequence[str] | None,
    as_json: bool,
) -> None:
    console = plain_console(sys.stderr)
    refuse_unknown_questions(answer := read_answers(answers or ()), folder.path)
    if inputs.unreadable:
        line, lines = inputs.unreadable[0], amount(len(inputs.unreadable), "line")
        console.print(f"{lines} left out; the first is line {line.number}: {line.reason}")
    budget = budget_of(settings, [graph])
    charge_earlier(budget, folder.path)
    batch = Batch(
        graph,
        inputs.entries,
        folder.path,
        budget,
        read_episodes(folder.path),
        answer=answer,
        by_line=inputs.is_batch,
    )
    work, context = BatchWork(batch, inputs, settings), schema_of(graph, "context_schema")
    engines = connected(settings, roles_of(context), console, judges=judges_of(context))
    try:
        if batch.waiting:
            with recorded_run(settings, engines) as engines:
                supervise(work, engines, folder, timeout=settings.timeout, watching=watch_on)
        else:  # no model need be started for it
            work.keep(folder)
            folder.finish("done")
    finally:
        _show(work, folder, as_json=as_json)
        _show_questions(work, folder, console)
        announce(folder.path, console)
    _refuse_losses(work, folder)


def _refuse_losses(work: BatchWork, folder: RunFolder) -> None:
    """Raise an error if a request has no episode.

    Raises:
        QuillError: Names the first failure, and the file that lists all.
    """
    if work.excluded:
        first, many = work.excluded[0], amount(len(work.excluded), "request")
        raise QuillError(
            f"{many} gave no episode; the first is line {first.number}: {first.reason} "
            f"(all of them: {folder.path / FAILURES})"
        )


def _show_questions(work: BatchWork, folder: RunFolder, console: Console) -> None:
    """List the questions that are open, and say how they are answered."""
    for each in work.excluded:
        place = f"line {each.number}, " if work.inputs.is_batch else ""
        for asked in each.questions:
            words = json.dumps(asked["value"], ensure_ascii=False)
            text = f"{place}node {asked['node']} asks {words}: --answer {asked['id']}=ANSWER"
            console.print(visible(text), soft_wrap=True, markup=False, highlight=False)
    if any(each.kind == "interrupt" for each in work.excluded):
        text = f"go on with: quillgraph run --resume {folder.path}"
        console.print(visible(text), soft_wrap=True, markup=False, highlight=False)


def _show(work: BatchWork, folder: RunFolder, *, as_json: bool) -> None:
    episodes = [episode for _, episode in sorted(work.batch.episodes.items())]
    if as_json:
        write_json(
            {
                "run": str(folder.path),
                "episodes": [each.model_dump(mode="json", exclude={"calls"}) for each in episodes],
                "excluded": [asdict(each) for each in work.excluded],
            }
        )
    elif work.inputs.is_batch:
        for each in episodes:
            sys.stdout.write(visible(f"{each.id}: {in_a_line(each)}") + "\n")
    else:
        for each in episodes:
            # unwrapped: JSON must stay valid when it is piped
            Console().print(whole(each), soft_wrap=True)
