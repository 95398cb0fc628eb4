"""The engines are loaded by those who use them, not by those who import the package."""

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "vllm", "transformers", "openai"]
PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.argv[2:]) & set(sys.modules))))
"""


@pytest.mark.parametrize(
    "module",
    [
        "quillgraph.backends",
        "quillgraph.agents",
        "quillgraph.graphs",
        "quillgraph.rl",
        "quillgraph.cli.main",
    ],
)
def test_importing_the_package_loads_no_engine(module: str) -> None:
    # a process of its own: here other tests may have loaded them
    command = [sys.executable, "-P", "-c", PROGRAM, module, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
