"""The engines are loaded by those who use them, not by those who import the package."""

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "vllm", "transformers", "openai"]
LIBRARIES = [*HEAVY, "langchain_core", "langchain_openai", "langgraph", "numpy", "pydantic"]
PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.argv[2:]) & set(sys.modules))))
"""


@pytest.mark.parametrize(
    "module",
    [
        "quillgraph",
        "quillgraph.backends",
        "quillgraph.agents",
        "quillgraph.graphs",
        "quillgraph.rl",
        "quillgraph.cli.main",
    ],
)
def test_importing_the_package_loads_no_engine(module: str) -> None:
    # a process of its own: here other tests may have loaded them
    assert _loaded_by(module, HEAVY) == []


def test_what_learns_without_a_model_is_had_without_an_engine() -> None:
    names = "check, criteria_reward, group_credit, load_config, train, trajectory"
    program = f"from quillgraph.rl import {names}\n{PROGRAM}"
    assert _loaded_by("quillgraph.rl", HEAVY, program=program) == []


@pytest.mark.parametrize("module", ["quillgraph", "quillgraph.cli.main"])
def test_the_front_door_and_the_command_load_no_library_that_is_slow_to_load(module: str) -> None:
    assert _loaded_by(module, LIBRARIES) == []


def _loaded_by(module: str, heavy: list[str], *, program: str = PROGRAM) -> list[str]:
    """Which of these an import loads, in a process of its own: here others may have done so."""
    command = [sys.executable, "-P", "-c", program, module, *heavy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_a_trainer_without_its_libraries_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None  # as where it is not installed\n"
        "import quillgraph.rl\n"
        "quillgraph.rl.MRPOTrainer"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wanted = "ImportError: quillgraph.rl.MRPOTrainer needs torch: pip install 'quillgraph[rl]'"
    assert done.stderr.splitlines()[-1] == wanted
