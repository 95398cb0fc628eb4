"""`quillgraph report`: one page that shows a whole run."""

import sys
from pathlib import Path

from quillgraph.backends.errors import InputError
from quillgraph.cli.display.items import write_json
from quillgraph.evals.report import read_contents, render_page, write_page

PAGE = "report.html"


def run_report(run_dir: Path | None, out: Path | None, *, as_json: bool) -> None:
    """Write the page of a run and print its path.

    Raises:
        QuillError: If there is no run, or the page cannot be written.
    """
    if run_dir is None:
        raise InputError("expected RUN_DIR, the folder of a run; `ls -t runs` lists them")
    contents, page = read_contents(run_dir), out or run_dir / PAGE
    write_page(render_page(contents), page)
    for note in contents.notes:
        sys.stderr.write(f"note: {note}\n")
    if as_json:
        size = page.stat().st_size
        write_json({"report": str(page), "bytes": size, "notes": list(contents.notes)})
    else:
        sys.stdout.write(f"{page}\n")
