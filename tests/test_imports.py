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
    assert _loaded(PROGRAM, module) == []


def test_what_learns_without_a_model_is_had_without_an_engine() -> None:
    names = "check, criteria_reward, group_credit, load_config, train, trajectory"
    assert _loaded(f"from quillgraph.rl import {names}\n{PROGRAM}", "quillgraph.rl") == []


def _loaded(program: str, module: str) -> list[str]:
    command = [sys.executable, "-P", "-c", program, module, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found
