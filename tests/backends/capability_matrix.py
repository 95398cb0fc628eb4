"""Writes `docs/backends.md` from the tests that the contract suite collects.

    .venv/bin/python tests/backends/capability_matrix.py > docs/backends.md

A cell is a test of one behaviour on one backend, so nothing is claimed that is not tested.
"""

import re
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("test_contract.py")

COLUMNS = ("vllm", "vllm-server", "transformers", "openai", "scripted", "cassette")

HEAD = """# What each backend does

Made by `tests/backends/capability_matrix.py` from `tests/backends/test_contract.py`; a test holds it up to date.
A mark is a test of the suite that runs on this backend: on the real SmolLM2 for `vllm`, `vllm-server` and
`transformers`, on a server on loopback for `openai` (asked for token ids, as vLLM gives them), and on a recording of
`scripted` for `cassette`. Where there is no mark, nothing is claimed: real models alone are asked what only a model can show.

"""  # noqa: E501


def collected(suite: Path) -> dict[str, set[str]]:
    """Behaviours of the suite in order, each with the backends that it is tested on."""

    class Collector:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            for item in session.items:
                match = re.fullmatch(r"test_(\w+)\[(.+)\]", item.name)
                if match and (column := _column(match[2])):
                    found[match[1].replace("_", " ")].add(column)

    found: defaultdict[str, set[str]] = defaultdict(set)
    with redirect_stdout(StringIO()):
        pytest.main(["--collect-only", "-q", str(suite)], plugins=[Collector()])
    return dict(found)


def _column(parameters: str) -> str | None:
    """The backend among a test's parameters."""
    by_length = sorted(COLUMNS, key=len, reverse=True)
    return next((c for c in by_length if re.search(rf"(^|-){c}(-|$)", parameters)), None)


def table(behaviours: dict[str, set[str]]) -> str:
    """The matrix in Markdown."""
    head = f"| behaviour | {' | '.join(f'`{column}`' for column in COLUMNS)} |"
    rule = "|---|" + ":-:|" * len(COLUMNS)
    rows = [
        f"| {name} | {' | '.join('✓' if column in held else '' for column in COLUMNS)} |"
        for name, held in behaviours.items()
    ]
    return "\n".join([head, rule, *rows]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(HEAD + table(collected(SUITE)))
