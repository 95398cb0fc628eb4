"""Names of the flat layout are answered with the new ones, wherever they stand."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from quillgraph.backends import connect
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs.episodes import registry
from quillgraph.moved import MovedFinder, advice, install, moves

OLD_GRAPHS = {
    "criteria": "study.workflow",
    "sampling": "study.theoretical_sampling",
    "open_coding": "study.open_coding",
    "axial_coding": "study.axial_coding",
    "selective_coding": "study.selective_coding",
    "criteria_writing": "study.criteria_writing",
    "judging": "prebuilt.judge",
    "reflection": "prebuilt.reflection",
    "best_of_n": "prebuilt.best_of_n",
    "self_refine": "prebuilt.self_refine",
    "debate": "prebuilt.debate",
    "voting": "prebuilt.voting",
}
"""Modules that a `langgraph.json` named, and where they stand now."""


def test_every_place_of_the_table_is_there_with_all_that_it_is_said_to_hold() -> None:
    lost = []
    for move in moves().values():
        for module, name in [*move.definitions.values(), (move.module, "")]:
            if importlib.util.find_spec(module) is None:
                lost.append(module)
            elif name and not _defines(module, name):
                lost.append(f"{module}:{name}")
    assert lost == []


def _defines(module: str, name: str) -> bool:
    """Whether a module's text has a definition; to import all of them would load engines."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    lines = Path(spec.origin).read_text(encoding="utf-8").splitlines()
    starts = (f"{name} =", f"{name}:", f"class {name}", f"def {name}(", f"async def {name}(")
    return any(line.startswith(starts) for line in lines)


@pytest.mark.parametrize("name", OLD_GRAPHS)
def test_a_graph_of_an_old_configuration_is_answered_with_its_new_module(name: str) -> None:
    old, new = f"quillgraph.graphs.{name}", f"quillgraph.graphs.{OLD_GRAPHS[name]}"
    with pytest.raises(ModuleNotFoundError, match=rf"^{old} is {new} now"):
        importlib.import_module(old)
    with pytest.raises(
        ConfigError, match=rf"no module for graph '{old}:build': {old} is {new} now"
    ):
        registry.build(f"{old}:build")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import quillgraph.agents.rewards", "is quillgraph.agents.judges.rewards now"),
        ("from quillgraph.graphs import judging", "is quillgraph.graphs.prebuilt.judge now"),
        ("from quillgraph.graphs.panel import Ballot", "'Ballot' is 'JudgeBallot'"),
        ("import quillgraph.cli.writing", "is quillgraph.cli.commands.write now"),
        ("import quillgraph.evals.reporting.page", "is quillgraph.evals.report now"),
        ("from quillgraph.rl.planning import key_of", "'key_of' is in quillgraph.rl.columns"),
        # of these, a package has the name of the module now
        (
            "from quillgraph.rl.rewards import Scored",
            "'RewardedText' in quillgraph.rl.rewards.rules",
        ),
        ("from quillgraph.graphs.memory import excerpts", "in quillgraph.graphs.memory.memory"),
    ],
)
def test_an_import_by_an_old_name_says_the_new_one(line: str, told: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=told):
        exec(line)


@pytest.mark.parametrize(
    "line",
    [
        "from quillgraph.graphs.memory import Memory",
        "from quillgraph.graphs.study import Study",
        "from quillgraph.graphs.memory import Library",
        "from quillgraph.agents.lenses import lens",
    ],
)
def test_what_has_kept_its_name_is_imported_as_before(line: str) -> None:
    exec(line)


@pytest.mark.parametrize("line", ["import quillgraph.nobody", "import quillgraph.graphs.nobody"])
def test_a_name_that_never_was_is_a_plain_import_error(line: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'quillgraph\.\S*nobody'"):
        exec(line)
    assert advice("quillgraph.graphs.nobody") is None
    assert advice("quillgraph.graphs.prebuilt") is None


def test_the_old_names_are_answered_in_any_process_and_by_one_finder() -> None:
    install()
    assert sum(isinstance(each, MovedFinder) for each in sys.meta_path) == 1
    command = [sys.executable, "-P", "-m", "quillgraph.backends.conversion"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "quillgraph.backends.conversion is quillgraph.backends.weights.gguf now" in done.stderr


def test_a_file_of_a_users_own_that_imports_an_old_name_is_answered_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "old_own.py").write_text("\nfrom quillgraph.graphs import pieces\n")
    told = r"is quillgraph\.graphs\.prebuilt\.nodes now.* \(old_own\.py, line 2\)"
    with pytest.raises(ConfigError, match=told):
        registry.build(f"{tmp_path}/old_own.py:build")


def test_a_graph_of_a_module_that_is_a_package_now_is_answered_too() -> None:
    told = "no 'build' in quillgraph.graphs.study: quillgraph.graphs.study is"
    with pytest.raises(ConfigError, match=told):
        registry.build("quillgraph.graphs.study:build")


def test_a_judge_and_a_reward_of_an_old_name_are_answered_with_the_new_one() -> None:
    from quillgraph.rl.run.run import function_of

    new = "quillgraph.rl.rewards.functions"
    with pytest.raises(ConfigError, match=f"is {new} now"):
        function_of("quillgraph.rl.reward_functions:criteria_reward", "rewards.functions")
    with pytest.raises(ConfigError, match=r"'RewardedText' in quillgraph\.rl\.rewards\.rules"):
        function_of("quillgraph.rl.rewards:Scored", "rewards.functions")
    with pytest.raises(ConfigError, match=r"is quillgraph\.backends\.servers\.openai now"):
        connect("langchain:quillgraph.backends.openai_chat.OpenAIChat")
