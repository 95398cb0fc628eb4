"""`quillgraph memory`: what is remembered. What is heavy is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

memory_app = typer.Typer(help="What episodes have left behind.", no_args_is_help=True)

MemoryPath = Annotated[
    Path | None,
    typer.Option(
        "--path",
        help="Memory file; default: QUILLGRAPH_MEMORY, or one in the user's data directory.",
        metavar="FILE",
    ),
]
Genre = Annotated[str | None, typer.Option(help="Only what is of this genre.", metavar="GENRE")]
ItemId = Annotated[str, typer.Argument(help="As `quillgraph memory list` says it.", metavar="ID")]


@memory_app.command("list")
def list_memory(
    *,
    genre: Genre = None,
    path: MemoryPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """List the lessons and entries that are remembered."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import memory

        memory.list_memory(path, genre=genre, as_json=as_json)


@memory_app.command("show")
def show_memory(
    item_id: ItemId,
    *,
    path: MemoryPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show one lesson or entry in full."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import memory

        memory.show_item(path, item_id, as_json=as_json)


@memory_app.command("forget")
def forget_memory(
    item_id: ItemId, *, path: MemoryPath = None, debug: options.Debug = False
) -> None:
    """Forget one lesson or entry."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import memory

        memory.forget_item(path, item_id)


@memory_app.command("export")
def export_memory(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; default: stdout.", metavar="FILE")
    ] = None,
    *,
    genre: Genre = None,
    path: MemoryPath = None,
    debug: options.Debug = False,
) -> None:
    """Write all that is remembered as JSON."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import memory

        memory.export_memory(path, file, genre=genre)
