"""The command `quillgraph`. Everything heavy is imported inside the commands."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from quillgraph.cli.evals.app import eval_app, scorer_app
from quillgraph.cli.groups import library_app, memory_app, models_app
from quillgraph.cli.session.options import (
    ENDS,
    LIBRARY,
    STUDY,
    AsJson,
    Choices,
    CriteriaFile,
    Request,
    RequestFile,
    RunOrder,
    Verbose,
    takes,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models_app, name="models")
app.add_typer(memory_app, name="memory")
app.add_typer(eval_app, name="eval")
app.add_typer(library_app, name="library")
app.add_typer(scorer_app, name="scorer")

EXIT_STATUSES = (
    "Exit status: 0 done, 2 wrong usage or configuration, 3 a backend failed, 4 a budget was "
    "reached (what was finished is kept), 1 anything else."
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        sys.stdout.write(f"quillgraph {version('quillgraph')}\n")
        raise typer.Exit


@app.callback(epilog="Start with `quillgraph doctor`: it says what works on this machine.")
def quillgraph(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Grounded-theory criteria for writing that has no reference answer."""


@app.command(epilog=EXIT_STATUSES)
@takes("backend", "roles", *STUDY, *LIBRARY, *ENDS, example="coder=openai:gpt-5-mini")
def criteria(
    request: Request = None,
    *,
    file: RequestFile = None,
    choices: Choices,
    as_json: AsJson = False,
) -> None:
    """Find the criteria of a writing request.

    They are shown as a tree, each with the words of the request and the drafts that it rests
    on, and kept in a run folder with all that led to them.
    """
    from quillgraph.cli.commands.criteria import run_criteria
    from quillgraph.cli.session.inputs import read_request

    settings = choices.settings()
    run_criteria(read_request(request, file), settings, as_json=as_json)


@app.command(epilog=EXIT_STATUSES)
@takes(
    *("backend", "roles", "judge", *STUDY, "rounds", "text_tokens", "samples"),
    *("memory", "no_memory", *LIBRARY, *ENDS),
    example="judge=openai:gpt-5-mini",
)
def write(
    request: Request = None,
    *,
    file: RequestFile = None,
    criteria_file: CriteriaFile = None,
    choices: Choices,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Write a text: find criteria, draft, judge, reflect, revise.

    A revision is accepted only if it raises the reward, adds no violation and costs no
    essential criterion; else it is rolled back. What worked is remembered for later requests.
    """
    from quillgraph.agents.criteria import read_criteria
    from quillgraph.cli.commands.write import run_write
    from quillgraph.cli.session.inputs import read_request

    settings = choices.settings()
    criteria_set = read_criteria(criteria_file) if criteria_file else None
    run_write(read_request(request, file), settings, criteria_set, as_json=as_json, verbose=verbose)


@app.command(epilog=EXIT_STATUSES)
@takes("backend", "roles", "judge", "samples", *ENDS, example="judge=openai:gpt-5-mini")
def judge(
    *,
    criteria_file: CriteriaFile = None,
    text: Annotated[
        Path | None, typer.Option(help="File with the text to judge.", metavar="FILE")
    ] = None,
    request: Annotated[
        str | None,
        typer.Option(
            help="What was to be written; default: request.txt beside the criteria.",
            metavar="REQUEST",
        ),
    ] = None,
    file: RequestFile = None,
    choices: Choices,
    as_json: AsJson = False,
) -> None:
    """Judge a text by given criteria: scores with evidence, reward."""
    from quillgraph.cli.commands.judge import read_submission, run_judge

    settings = choices.settings()
    run_judge(read_submission(criteria_file, text, request, file), settings, as_json=as_json)


@app.command(epilog=EXIT_STATUSES)
@takes(
    *("backend", "roles", *STUDY, "rounds", "text_tokens", "samples", *ENDS),
    example="writer=openai:gpt-5-mini",
)
def run(*, order: RunOrder, choices: Choices, as_json: AsJson = False) -> None:
    """Run any graph, yours or ours, on one request or many.

    What it has done is on disk: a run that was stopped, by a budget, a fault or kill -9, goes on
    with --resume.
    """
    # read when LangGraph is imported: checkpoints then hold only types that the state declares
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    from quillgraph.cli.commands.run import begin_run, resume_run

    if order.resume is None:
        begin_run(order, choices.settings(), as_json=as_json)
    else:
        resume_run(order, choices, as_json=as_json)


@app.command()
@takes()
def report(
    run_dir: Annotated[
        Path | None, typer.Argument(help="Folder of a run, finished or not.", metavar="RUN_DIR")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="The page; default: RUN_DIR/report.html.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run as one HTML page.

    Criteria and the words they rest on, texts and what changed in them, scores, rewards, lessons,
    calls; curves and sample texts of a training run; tables and plots of an evaluation. The page
    needs no network and no other file, so it can be sent to somebody as it is.
    """
    from quillgraph.cli.commands.report import run_report

    run_report(run_dir, out, as_json=as_json)


@app.command(epilog=EXIT_STATUSES)
@takes("out", "resume", "dry_run", "seed")
def train(
    config: Annotated[
        Path, typer.Argument(help="What is trained, on what, and how.", metavar="CONFIG.yaml")
    ],
    *,
    choices: Choices,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in the run's folder."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model by criteria: SFT on the best texts, MRPO, or both.

    The run's folder keeps criteria, metrics, texts, checkpoints and, at the end, the adapter.
    """
    from quillgraph.cli.commands.train import run_train

    run_train(config, choices.values, resume=resume, dry_run=dry_run, as_json=as_json)


@app.command()
@takes()
def graphs(
    draw: Annotated[
        str | None, typer.Option(help="Draw one graph, as Mermaid.", metavar="NAME")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw it as a picture instead.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the graphs, or draw one."""
    from quillgraph.backends.errors import ConfigError
    from quillgraph.cli.commands.graphs import draw_graph, list_graphs

    if draw is not None:
        draw_graph(draw, png)
    elif png is not None:
        raise ConfigError("expected --draw NAME with --png; `quillgraph graphs` lists names")
    else:
        list_graphs(as_json=as_json)


@app.command()
@takes()
def doctor(*, as_json: AsJson = False) -> None:
    """Say what works here, and what to do about the rest."""
    from quillgraph.cli.commands.doctor import run_doctor

    run_doctor(as_json=as_json)


def main() -> None:
    """Run the command; a polite request to stop is treated as Ctrl-C is."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # asyncio handles interrupts itself and closes open resources
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)
