"""Writes `docs/backends.md` from the tests that the contract suite collects.

    .venv/bin/python tests/backends/capability_matrix.py > docs/backends.md

A cell is a test of one behaviour on one backend, so nothing is claimed that is not tested.
"""

import sys
from pathlib import Path

from quillgraph.backends.contract.matrix import adapter_table, collected, table

SUITE = Path(__file__).with_name("test_contract.py")

COLUMNS = ("vllm", "vllm-server", "transformers", "openai", "scripted", "cassette")

HEAD = """# What each backend does

Made by `tests/backends/capability_matrix.py` from the contract suite (`backends/contract`) as `tests/backends/test_contract.py`
runs it; a test holds it up to date. A mark is a test of the suite that runs on this backend: on the real SmolLM2 for `vllm`,
`vllm-server` and `transformers`, on a server on loopback for `openai` (asked for token ids, as vLLM gives them), and on a
recording of `scripted` for `cassette`. Where there is no mark, nothing is claimed: real models alone are asked what only a model
can show. Somebody else's backend runs the same suite: [how to add a backend](extend/backend.md).

"""  # noqa: E501


ADAPTERS = """
## Adapters

A served adapter has the log-probabilities that PEFT gives, an engine's rounding apart: `tests/backends/test_adapter_cases.py` has
PEFT write each on SmolLM2 and compares. Ranks and scales that differ among modules, which vLLM does not read, are written as the
same products with one rank and one scale to a temporary folder. Where the model is on other machines' servers alone, that cannot
be done, and such an adapter is refused there.

"""  # noqa: E501


def page() -> str:
    """The document."""
    return HEAD + table(collected([str(SUITE)], COLUMNS), COLUMNS) + ADAPTERS + adapter_table()


if __name__ == "__main__":
    sys.stdout.write(page())
