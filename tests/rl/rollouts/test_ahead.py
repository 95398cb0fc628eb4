"""Texts written one step ahead, from the configuration to a run that is cut off and goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.config.run import load_config

pytest.importorskip("trl")

Configure = Callable[..., Path]


@pytest.fixture
def configure(short_run: Configure, tmp_path: Path) -> Configure:
    """A run whose engine writes ahead."""

    def make(options: dict[str, Any] | None = None, **rl: Any) -> Path:
        engine = f"transformers:{tmp_path / 'tiny'}"
        return short_run(options, **{"rollouts": engine, "overlap": True, **rl})

    return make


def trained(file: Path, out: Path, *, resume: bool = False) -> None:
    from quillgraph.rl.stages.pipeline import train

    train(load_config(file), out, resume=resume, tell=lambda _: None)


def steps(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row]


def test_a_run_that_is_cut_off_goes_on_with_the_texts_that_were_ahead(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    file = configure({"max_steps": 5})
    trained(file, whole)
    inner = MRPOTrainer.training_step

    def cut(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return inner(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(MRPOTrainer, "training_step", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(file, broken)
    trained(file, broken, resume=True)
    names = ("loss", "grad_norm", "rewards/counted", "rollouts/policy_age")
    curves = [[tuple(row[name] for name in names) for row in steps(out)] for out in (whole, broken)]
    assert [row[-1] for row in curves[0]] == [0, 1, 1, 1, 1]
    assert len(curves[1]) == 5
    for one, other in zip(*curves, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    ledgers = [json.loads((out / "ledger.json").read_text()) for out in (whole, broken)]
    assert ledgers[0] == ledgers[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollouts": None}, "needs an engine of its own: set rl.rollouts"),
        ({"algorithm": "grpo"}, "with rl.overlap set algorithm: mrpo"),
        ({"options": {"num_iterations": 2}}, "more than one step behind"),
        ({"options": {"steps_per_generation": 2}}, "more than one step behind"),
    ],
)
def test_what_would_lag_further_or_be_misread_is_refused(
    configure: Configure, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = configure(**changes)
    text = file.read_text().replace("every: 1", "every: 2")
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        trained(file, tmp_path / "out")
