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
    help="Grounded-theory criteria for writing that has no reference answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Built-in models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]


@app.command()
def criteria(
    request: Annotated[str | None, typer.Argument(help="The writing request.")] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="Read the request from a file.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="Backend of all roles, KIND:MODEL[@URL][?option=value].")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="Another backend for one role, NAME=SPEC; repeatable.")
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="minilm, lexical or a model folder.")
    ] = None,
    drafts: Annotated[
        int | None, typer.Option(help="Drafts to sample and read; 0 for none.")
    ] = None,
    draft_tokens: Annotated[int | None, typer.Option(help="Longest draft, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; default runs/<time>-<slug>.")
    ] = None,
    max_calls: Annotated[int | None, typer.Option(help="Budget of model calls.")] = None,
    max_tokens_total: Annotated[
        int | None, typer.Option(help="Budget of tokens, prompts and replies together.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Budget of time, seconds.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find the criteria of a writing request, as a tree with its evidence."""
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
    draw: Annotated[str | None, typer.Option(help="Draw one graph as Mermaid.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the drawing as a PNG file.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the graphs, or draw one."""
    with reporting(debug=debug):
        from quillgraph.cli.graphs import draw_graph, list_graphs

        if draw is None:
            list_graphs(as_json=as_json)
        else:
            draw_graph(draw, png)


@app.command()
def doctor(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Say what is installed, what works here, and what to do about the rest."""
    with reporting(debug=debug):
        from dataclasses import asdict

        from rich.console import Console
        from rich.table import Table

        from quillgraph.cli.doctor import examine

        findings = examine()
        if as_json:
            sys.stdout.write(json.dumps([asdict(finding) for finding in findings]) + "\n")
        else:
            table = Table("", "found", "what to do", box=None, pad_edge=False)
            mark = {"ok": "[green]ok", "absent": "[yellow]absent", "trouble": "[red]trouble"}
            for finding in findings:
                table.add_row(
                    f"{mark[finding.state]}[/] {finding.topic}", finding.found, finding.advice
                )
            Console().print(table)
        if any(finding.state == "trouble" for finding in findings):
            raise typer.Exit(1)


@models_app.command("pull")
def pull_model(name: str, *, debug: Debug = False) -> None:
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
            where = model.path if model.path else "not pulled"
            sys.stdout.write(f"{model.name}\t{model.size_mb} MB\t{model.licence}\t{where}\n")


def main() -> None:
    """Run the command; a polite request to stop is treated as Ctrl-C is."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
