"""One page that shows a whole run: criteria, texts, scores, calls, curves, tables."""

from quillgraph.evals.report.contents import read_contents
from quillgraph.evals.report.page import render_page, write_page

__all__ = [
    "read_contents",
    "render_page",
    "write_page",
]
