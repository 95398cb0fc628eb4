"""`quillgraph report`: one page that shows a whole run. What is heavy is imported inside."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

PAGE = "report.html"

RunDir = Annotated[
    Path | None,
    typer.Argument(help="Folder of a run, finished or not.", metavar="RUN_DIR"),
]
Page = Annotated[
    Path | None,
    typer.Option(help=f"The page; default: RUN_DIR/{PAGE}.", metavar="FILE"),
]


def report(
    run_dir: RunDir = None,
    *,
    out: Page = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show a run as one HTML page.

    Criteria and the words they rest on, texts and what changed in them, scores, rewards, lessons,
    calls; curves and sample texts of a training run; tables and plots of an evaluation. The page
    needs no network and no other file, so it can be sent to somebody as it is.
    """
    with reporting(debug=debug):
        from quillgraph.backends.errors import InputError
        from quillgraph.evals.report import read_contents, render_page, write_page

        if run_dir is None:
            raise InputError("expected RUN_DIR, the folder of a run; `ls -t runs` lists them")
        shown, page = read_contents(run_dir), out or run_dir / PAGE
        write_page(render_page(shown), page)
        for note in shown.notes:
            sys.stderr.write(f"note: {note}\n")
        if as_json:
            told = {"report": str(page), "bytes": page.stat().st_size, "notes": list(shown.notes)}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{page}\n")
