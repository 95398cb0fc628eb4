"""Rows of evaluations as tables on a terminal."""

from collections.abc import Sequence

from rich.table import Table

Rows = Sequence[Sequence[str]]


def table_of(title: str, rows: Rows, *sections: Rows, left: Sequence[str] = ()) -> Table:
    """Make a table of rows.

    Args:
        title: Shown above the table.
        rows: The header, then the first rows.
        sections: More rows, with a line before each section.
        left: Left-aligned columns beside the first one; all others hold numbers.
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
