"""A table of the suite's behaviours and the backends that they are tested on.

A cell is a test that pytest collects, so the table claims nothing that is not tested.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from quillgraph.backends.contract.adapter_cases import REFUSED, SERVED
from quillgraph.backends.weights.adapter_config import REFUSED as LORA_REFUSED


def collected(arguments: Sequence[str], columns: Sequence[str]) -> dict[str, set[str]]:
    """List the behaviours in order, each with the backends that it is tested on.

    Args:
        arguments: Arguments of pytest: the path of the suite and its options.
        columns: Names of backends (`plugin.Subject`).
    """
    # a process of its own: pytest must start before the modules that it rewrites are imported
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    # if tests started this process, the new one is none of their workers
    alone = {name: each for name, each in os.environ.items() if "PYTEST_XDIST" not in name}
    run = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
    behaviours: defaultdict[str, set[str]] = defaultdict(set)
    for match in re.finditer(r"^.*::test_(\w+)\[(.+)\]$", run.stdout, re.MULTILINE):
        if column := _column(match[2], columns):
            behaviours[match[1].replace("_", " ")].add(column)
    return dict(behaviours)


def table(behaviours: Mapping[str, Set[str]], columns: Sequence[str]) -> str:
    """Format the matrix in Markdown."""
    head = f"| behaviour | {' | '.join(f'`{column}`' for column in columns)} |"
    rule = "|---|" + ":-:|" * len(columns)
    rows = [
        f"| {name} | {' | '.join('✓' if column in backends else '' for column in columns)} |"
        for name, backends in behaviours.items()
    ]
    return "\n".join([head, rule, *rows]) + "\n"


def adapter_table() -> str:
    """Format in Markdown what an adapter's configuration may say."""
    rows = [f"| {_field(case.name)} | ✓ | {'✓' if case.at_an_address else ''} |" for case in SERVED]
    refused = {f"`{name}`": None for case in REFUSED for name in case if name in LORA_REFUSED}
    starts = [str(case["init_lora_weights"]) for case in REFUSED if "init_lora_weights" in case]
    return "\n".join(
        [
            "| setting of PEFT's `LoraConfig` | `vllm`, `vllm-server`, `transformers` | a vLLM "
            "server at an address |",
            "|---|:-:|:-:|",
            *rows,
            "",
            f"Refused before anything changes: {', '.join(refused)}; `init_lora_weights` of "
            f"{', '.join(starts)}; every `peft_type` but `LORA`; and fields that are not known "
            "here. Merge such an adapter into its model, or train it without the field.",
            "",
        ]
    )


def _field(name: str) -> str:
    return f"`{name}`" if name.isidentifier() else name


def _column(parameters: str, columns: Sequence[str]) -> str | None:
    """The backend among a test's parameters."""
    by_length = sorted(columns, key=len, reverse=True)
    return next((c for c in by_length if re.search(rf"(^|-){re.escape(c)}(-|$)", parameters)), None)
