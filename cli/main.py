"""The command `quillgraph`. Everything heavy is imported inside the commands."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from quillgraph.cli.reporting import reporting

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Built-in models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

EXIT_STATUSES = (
    "Exit status: 0 done, 2 wrong usage or configuration, 3 a backend failed, 4 a budget was "
    "reached (what was finished is kept), 1 anything else."
)

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]


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
    request: Annotated[
        str | None, typer.Argument(help="What is to be written, in any words.", metavar="REQUEST")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(help="Read the request from a file.", metavar="FILE")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Model of all roles, as KIND:MODEL[@URL][?option=value]: vllm:smollm2-135m, "
            "transformers:FOLDER, openai:gpt-5-mini, openai:MODEL@http://127.0.0.1:8000/v1, "
            "scripted:FILE. Default: the built-in model on what this machine can run.",
            metavar="SPEC",
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model for one role, such as coder=openai:gpt-5-mini; may be repeated.",
            metavar="NAME=SPEC",
        ),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(help="minilm (default), lexical or a model folder.", metavar="NAME"),
    ] = None,
    drafts: Annotated[
        int | None,
        typer.Option(help="Drafts to sample and read, 0 to 16; default 4.", metavar="N"),
    ] = None,
    draft_tokens: Annotated[
        int | None, typer.Option(help="Longest draft, in tokens; default 160.", metavar="N")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Equal seeds repeat a run; default 0.", metavar="N"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="New folder to keep the run in; default runs/<time>-<slug>.", metavar="DIR"
        ),
    ] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most model calls.", metavar="N")] = None,
    max_tokens_total: Annotated[
        int | None, typer.Option(help="Most tokens, prompts and replies together.", metavar="N")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Most seconds, counted from when the model is up.", metavar="S"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of these settings. QUILLGRAPH_SEED and the like go before it, "
            "the command line before both.",
            metavar="FILE",
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find the criteria of a writing request.

    They are shown as a tree, each with the words of the request and the drafts that it rests
    on, and kept in a run folder with all that led to them.
    """
    with reporting(debug=debug):
        from quillgraph.cli.criteria import read_request, run_criteria
        from quillgraph.cli.settings import load_settings, parse_roles

        settings = load_settings(
            config,
            backend=backend,
            roles=parse_roles(role or []),
            embeddings=embeddings,
            drafts=drafts,
            draft_tokens=draft_tokens,
            seed=seed,
            out=out,
            max_calls=max_calls,
            max_tokens_total=max_tokens_total,
            timeout=timeout,
        )
        run_criteria(read_request(request, file), settings, as_json=as_json)


@app.command()
def graphs(
    draw: Annotated[
        str | None, typer.Option(help="Draw one graph, as Mermaid.", metavar="NAME")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw it as a picture instead.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the graphs, or draw one."""
    with reporting(debug=debug):
        from quillgraph.backends.errors import ConfigError
        from quillgraph.cli.graphs import draw_graph, list_graphs

        if draw is not None:
            draw_graph(draw, png)
        elif png is not None:
            raise ConfigError("expected --draw NAME with --png; `quillgraph graphs` lists names")
        else:
            list_graphs(as_json=as_json)


@app.command()
def doctor(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Say what works here, and what to do about the rest."""
    with reporting(debug=debug):
        from dataclasses import asdict

        from quillgraph.cli.display import show_findings
        from quillgraph.cli.doctor import examine

        findings = examine()
        if as_json:
            sys.stdout.write(json.dumps([asdict(finding) for finding in findings]) + "\n")
        else:
            show_findings(findings)
        if any(finding.state == "trouble" for finding in findings):
            raise typer.Exit(1)


@models_app.command("pull")
def pull_model(
    name: Annotated[
        str, typer.Argument(help="As `quillgraph models list` says it.", metavar="NAME")
    ],
    *,
    debug: Debug = False,
) -> None:
    """Fetch a built-in model into the user's cache."""
    with reporting(debug=debug):
        from quillgraph.backends.models import pull

        folder = pull(name, progress=lambda step: sys.stderr.write(f"{step}\n"))
        sys.stdout.write(f"{folder}\n")


@models_app.command("list")
def list_models(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the built-in models, and which of them are here."""
    with reporting(debug=debug):
        from dataclasses import asdict

        from quillgraph.backends.models import installed

        models = installed()
        if as_json:
            rows = [asdict(model) for model in models]
            sys.stdout.write(json.dumps(rows, default=str) + "\n")
            return
        for model in models:
            where = model.path if model.pulled else "not pulled"
            size = f"{model.size_mb} MB"
            row = f"{model.name:13} {model.use:10} {size:>7}  {model.licence:10} {where}"
            sys.stdout.write(f"{row}\n")


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
