"""`quillgraph models`, `memory` and `library`: files on disk that outlive the runs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from quillgraph.cli.session.options import AsJson, takes

models_app = typer.Typer(help="Built-in models.", no_args_is_help=True)


@models_app.command("pull")
@takes()
def pull_model(
    name: Annotated[
        str, typer.Argument(help="As `quillgraph models list` says it.", metavar="NAME")
    ],
) -> None:
    """Download a built-in model into the user's cache."""
    from quillgraph.backends.weights import pull

    folder = pull(name, progress=lambda step: sys.stderr.write(f"{step}\n"))
    sys.stdout.write(f"{folder}\n")


@models_app.command("list")
@takes()
def list_models(*, as_json: AsJson = False) -> None:
    """List the built-in models, and which are downloaded."""
    from dataclasses import asdict

    from quillgraph.backends.weights import installed
    from quillgraph.cli.display.items import write_json

    models = installed()
    if as_json:
        write_json([{**asdict(model), "path": str(model.path)} for model in models])
        return
    for model in models:
        where = model.path if model.pulled else "not pulled"
        size = f"{model.size_mb} MB"
        row = f"{model.name:13} {model.use:10} {size:>7}  {model.licence:10} {where}"
        sys.stdout.write(f"{row}\n")


Genre = Annotated[str | None, typer.Option(help="Only what is of this genre.", metavar="GENRE")]
Target = Annotated[Path | None, typer.Argument(help="Where to; default: stdout.", metavar="FILE")]


def _store_app(name: str, about: str, **tasks: str) -> typer.Typer:
    """The group of commands for a file that outlives the runs.

    Args:
        name: Name of the group, of its module, and in the variable for its file.
        about: Help text: the contents of the file.
        tasks: Help text of each command.
    """
    app = typer.Typer(help=about, no_args_is_help=True)
    path_help = (
        f"{name.capitalize()} file; default: QUILLGRAPH_{name.upper()}, or one in the user's data "
        "directory."
    )
    Store = Annotated[Path | None, typer.Option("--path", help=path_help, metavar="FILE")]
    Genre = Annotated[str | None, typer.Option(help="Only what is of this genre.", metavar="GENRE")]
    Target = Annotated[
        Path | None, typer.Argument(help="Where to; default: stdout.", metavar="FILE")
    ]
    Item = Annotated[
        str, typer.Argument(help=f"As `quillgraph {name} list` says it.", metavar="ID")
    ]

    def commands() -> Any:
        return import_module(f"quillgraph.cli.commands.{name}")

    @app.command("list", help=tasks["list"])
    @takes()
    def list_items(*, genre: Genre = None, path: Store = None, as_json: AsJson = False) -> None:
        commands().list_items(path, genre=genre, as_json=as_json)

    @app.command("show", help=tasks["show"])
    @takes()
    def show_item(item_id: Item, *, path: Store = None, as_json: AsJson = False) -> None:
        commands().show_item(path, item_id, as_json=as_json)

    @app.command("forget", help=tasks["forget"])
    @takes()
    def forget_item(item_id: Item, *, path: Store = None) -> None:
        commands().forget_item(path, item_id)

    @app.command("export", help=tasks["export"])
    @takes()
    def export_items(file: Target = None, *, genre: Genre = None, path: Store = None) -> None:
        commands().export_items(path, file, genre=genre)

    return app


memory_app = _store_app(
    "memory",
    "What episodes have left behind.",
    list="List the lessons and entries that are remembered.",
    show="Show one lesson or entry in full.",
    forget="Forget one lesson or entry.",
    export="Write all that is remembered as JSON.",
)
library_app = _store_app(
    "library",
    "Criteria kept across requests.",
    list="List the criteria that are kept, with what their use has shown.",
    show="Show one criterion in full.",
    forget="Forget one criterion.",
    export="Write all criteria as JSON.",
)
