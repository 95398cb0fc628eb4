"""Rows of evaluations as tables on a terminal."""

from collections.abc import Sequence

from rich.table import Table

Rows = Sequence[Sequence[str]]


def table_of(title: str, rows: Rows, *sections: Rows, left: Sequence[str] = ()) -> Table:
    """Make a table of rows.

    Args:
        title: Stands above it.
        rows: The head, and the first rows.
        sections: More rows, with a line before each section.
        left: Columns of words; the first is one, all others are numbers.
    """
    table = Table(title=title, title_justify="left")
    head, *body = rows
    for name in head:
        table.add_column(name, justify="left" if name in (head[0], *left) else "right")
    for section in (body, *sections):
        for row in section:
            table.add_row(*row)
        table.add_section()
    return table
