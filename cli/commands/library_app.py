"""`quillgraph library`: criteria that are kept. What is heavy is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

library_app = typer.Typer(help="Criteria kept across requests.", no_args_is_help=True)

LibraryPath = Annotated[
    Path | None,
    typer.Option(
        "--path",
        help="Library file; default: QUILLGRAPH_LIBRARY, or one in the user's data directory.",
        metavar="FILE",
    ),
]
Genre = Annotated[str | None, typer.Option(help="Only what is of this genre.", metavar="GENRE")]
CriterionId = Annotated[
    str, typer.Argument(help="As `quillgraph library list` says it.", metavar="ID")
]


@library_app.command("list")
def list_library(
    *,
    genre: Genre = None,
    path: LibraryPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """List the criteria that are kept, with what their use has shown."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import library

        library.list_library(path, genre=genre, as_json=as_json)


@library_app.command("show")
def show_criterion(
    criterion_id: CriterionId,
    *,
    path: LibraryPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show one criterion in full."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import library

        library.show_criterion(path, criterion_id, as_json=as_json)


@library_app.command("forget")
def forget_criterion(
    criterion_id: CriterionId, *, path: LibraryPath = None, debug: options.Debug = False
) -> None:
    """Forget one criterion."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import library

        library.forget_criterion(path, criterion_id)


@library_app.command("export")
def export_library(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; default: stdout.", metavar="FILE")
    ] = None,
    *,
    genre: Genre = None,
    path: LibraryPath = None,
    debug: options.Debug = False,
) -> None:
    """Write all criteria as JSON."""
    with reporting(debug=debug):
        from quillgraph.cli.commands import library

        library.export_library(path, file, genre=genre)
