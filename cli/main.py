"""The command `quillgraph`. Everything heavy is imported inside the commands."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from quillgraph.cli.commands.library_app import library_app
from quillgraph.cli.commands.memory_app import memory_app
from quillgraph.cli.commands.models import models_app
from quillgraph.cli.commands.report import report
from quillgraph.cli.commands.run_app import run
from quillgraph.cli.evals.app import eval_app
from quillgraph.cli.evals.scorer_app import scorer_app
from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

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


def _show_version(asked: bool) -> None:
    if asked:
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
def criteria(
    request: options.Request = None,
    *,
    file: options.RequestFile = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("coder=openai:gpt-5-mini")] = None,
    embeddings: options.Embeddings = None,
    drafts: options.Drafts = None,
    draft_tokens: options.DraftTokens = None,
    library: options.LibraryFile = None,
    no_library: options.NoLibrary = False,
    contrast: options.Contrast = False,
    seed: options.Seed = None,
    out: options.Out = None,
    record: options.Record = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    node_budget: options.NodeBudget = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Find the criteria of a writing request.

    They are shown as a tree, each with the words of the request and the drafts that it rests
    on, and kept in a run folder with all that led to them.
    """
    with reporting(debug=debug):
        from quillgraph.cli.commands.criteria import run_criteria
        from quillgraph.cli.session.inputs import read_request
        from quillgraph.cli.session.settings import load_settings, parse_node_budgets, parse_roles

        settings = load_settings(
            config,
            backend=backend,
            roles=parse_roles(role or []),
            embeddings=embeddings,
            drafts=drafts,
            draft_tokens=draft_tokens,
            library=library,
            no_library=no_library or None,
            contrast=contrast or None,
            seed=seed,
            out=out,
            record=record,
            max_calls=max_calls,
            max_tokens_total=max_tokens_total,
            timeout=timeout,
            node_budgets=parse_node_budgets(node_budget or []),
        )
        run_criteria(read_request(request, file), settings, as_json=as_json)


@app.command(epilog=EXIT_STATUSES)
def write(
    request: options.Request = None,
    *,
    file: options.RequestFile = None,
    criteria_file: options.CriteriaFile = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("judge=openai:gpt-5-mini")] = None,
    judge: options.Judge = None,
    embeddings: options.Embeddings = None,
    drafts: options.Drafts = None,
    draft_tokens: options.DraftTokens = None,
    rounds: options.Rounds = None,
    text_tokens: options.TextTokens = None,
    samples: options.Samples = None,
    memory: options.MemoryFile = None,
    no_memory: options.NoMemory = False,
    library: options.LibraryFile = None,
    no_library: options.NoLibrary = False,
    contrast: options.Contrast = False,
    seed: options.Seed = None,
    out: options.Out = None,
    record: options.Record = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    node_budget: options.NodeBudget = None,
    config: options.Config = None,
    verbose: options.Verbose = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Write a text: find criteria, draft, judge, reflect, revise.

    A revision is accepted only if it raises the reward, adds no violation and costs no
    essential criterion; else it is rolled back. What worked is remembered for later requests.
    """
    with reporting(debug=debug):
        from quillgraph.cli.commands.write import run_write
        from quillgraph.cli.session.inputs import read_criteria, read_request
        from quillgraph.cli.session.settings import load_settings, parse_node_budgets, parse_roles

        settings = load_settings(
            config,
            backend=backend,
            roles=parse_roles(role or [], judge),
            embeddings=embeddings,
            drafts=drafts,
            draft_tokens=draft_tokens,
            rounds=rounds,
            text_tokens=text_tokens,
            samples=samples,
            memory=memory,
            no_memory=no_memory or None,
            library=library,
            no_library=no_library or None,
            contrast=contrast or None,
            seed=seed,
            out=out,
            record=record,
            max_calls=max_calls,
            max_tokens_total=max_tokens_total,
            timeout=timeout,
            node_budgets=parse_node_budgets(node_budget or []),
        )
        given = read_criteria(criteria_file) if criteria_file else None
        run_write(
            read_request(request, file), settings, given=given, as_json=as_json, verbose=verbose
        )


@app.command(epilog=EXIT_STATUSES)
def judge(
    *,
    criteria_file: options.CriteriaFile = None,
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
    file: options.RequestFile = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("judge=openai:gpt-5-mini")] = None,
    by: options.Judge = None,
    samples: options.Samples = None,
    seed: options.Seed = None,
    out: options.Out = None,
    record: options.Record = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    node_budget: options.NodeBudget = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Judge a text by given criteria: scores with evidence, reward."""
    with reporting(debug=debug):
        from quillgraph.cli.commands.judge import read_exhibit, run_judge
        from quillgraph.cli.session.settings import load_settings, parse_node_budgets, parse_roles

        settings = load_settings(
            config,
            backend=backend,
            roles=parse_roles(role or [], by),
            samples=samples,
            seed=seed,
            out=out,
            record=record,
            max_calls=max_calls,
            max_tokens_total=max_tokens_total,
            timeout=timeout,
            node_budgets=parse_node_budgets(node_budget or []),
        )
        run_judge(read_exhibit(criteria_file, text, request, file), settings, as_json=as_json)


app.command(epilog=EXIT_STATUSES)(run)
app.command()(report)


@app.command(epilog=EXIT_STATUSES)
def train(
    config: Annotated[
        Path, typer.Argument(help="What is trained, on what, and how.", metavar="CONFIG.yaml")
    ],
    *,
    out: options.Out = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in the run's folder."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and train nothing.")
    ] = False,
    seed: options.Seed = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Train a model by criteria: SFT on the best texts, MRPO, or both.

    The run's folder keeps criteria, metrics, texts, checkpoints and, at the end, the adapter.
    """
    with reporting(debug=debug):
        from quillgraph.cli.commands.train import run_train

        run_train(config, out=out, seed=seed, resume=resume, dry_run=dry_run, as_json=as_json)


@app.command()
def graphs(
    draw: Annotated[
        str | None, typer.Option(help="Draw one graph, as Mermaid.", metavar="NAME")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw it as a picture instead.", metavar="FILE")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """List the graphs, or draw one."""
    with reporting(debug=debug):
        from quillgraph.backends.errors import ConfigError
        from quillgraph.cli.commands.graphs import draw_graph, list_graphs

        if draw is not None:
            draw_graph(draw, png)
        elif png is not None:
            raise ConfigError("expected --draw NAME with --png; `quillgraph graphs` lists names")
        else:
            list_graphs(as_json=as_json)


@app.command()
def doctor(*, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Say what works here, and what to do about the rest."""
    with reporting(debug=debug):
        from dataclasses import asdict

        from quillgraph.cli.commands.doctor import examine, show_findings

        findings = examine()
        if as_json:
            sys.stdout.write(json.dumps([asdict(finding) for finding in findings]) + "\n")
        else:
            show_findings(findings)
        if any(finding.state == "trouble" for finding in findings):
            raise typer.Exit(1)


def main() -> None:
    """Run the command; a polite request to stop is treated as Ctrl-C is."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # asyncio has its own way of being interrupted, which lets what is open be closed
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)
