"""`quillgraph models`: the built-in models. What is heavy is imported inside the commands."""

import json
import sys
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

models_app = typer.Typer(help="Built-in models.", no_args_is_help=True)


@models_app.command("pull")
def pull_model(
    name: Annotated[
        str, typer.Argument(help="As `quillgraph models list` says it.", metavar="NAME")
    ],
    *,
    debug: options.Debug = False,
) -> None:
    """Fetch a built-in model into the user's cache."""
    with reporting(debug=debug):
        from quillgraph.backends.weights import pull

        folder = pull(name, progress=lambda step: sys.stderr.write(f"{step}\n"))
        sys.stdout.write(f"{folder}\n")


@models_app.command("list")
def list_models(*, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """List the built-in models, and which of them are here."""
    with reporting(debug=debug):
        from dataclasses import asdict

        from quillgraph.backends.weights import installed

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
