"""Which behaviours of the suite are tested on which backend, as a table.

A cell is a test that pytest collects, so nothing is claimed that is not tested.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set


def collected(arguments: Sequence[str], columns: Sequence[str]) -> dict[str, set[str]]:
    """Behaviours in order, each with the backends that it is tested on.

    Args:
        arguments: Of pytest: where the suite is, and what it runs on.
        columns: Names of backends (`plugin.Subject`).
    """
    # a process of its own: pytest wants to be there before what it rewrites is imported
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    # nor is it a worker of the tests that may have started this one
    alone = {name: each for name, each in os.environ.items() if "PYTEST_XDIST" not in name}
    run = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
    behaviours: defaultdict[str, set[str]] = defaultdict(set)
    for match in re.finditer(r"^.*::test_(\w+)\[(.+)\]$", run.stdout, re.MULTILINE):
        if column := _column(match[2], columns):
            behaviours[match[1].replace("_", " ")].add(column)
    return dict(behaviours)


def table(behaviours: Mapping[str, Set[str]], columns: Sequence[str]) -> str:
    """The matrix in Markdown."""
    head = f"| behaviour | {' | '.join(f'`{column}`' for column in columns)} |"
    rule = "|---|" + ":-:|" * len(columns)
    rows = [
        f"| {name} | {' | '.join('✓' if column in tested else '' for column in columns)} |"
        for name, tested in behaviours.items()
    ]
    return "\n".join([head, rule, *rows]) + "\n"


def _column(parameters: str, columns: Sequence[str]) -> str | None:
    """The backend among a test's parameters."""
    by_length = sorted(columns, key=len, reverse=True)
    return next((c for c in by_length if re.search(rf"(^|-){re.escape(c)}(-|$)", parameters)), None)
