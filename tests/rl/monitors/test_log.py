"""The metrics of a run, as a file."""

import json
from pathlib import Path
from types import SimpleNamespace

from quillgraph.rl.monitors.log import Lines, MetricsLog


def test_a_metric_that_has_no_value_is_absent_and_each_line_is_json(tmp_path: Path) -> None:
    lines, heard = Lines(tmp_path / "metrics.jsonl"), list[str]()
    log = MetricsLog(lines, "rl", heard.append, lambda: {"replay/tokens": 0.0})
    state = SimpleNamespace(is_world_process_zero=True, global_step=3, max_steps=9)
    logs = {"loss": 0.5, "kl": float("nan"), "criteria/reward": float("inf"), "note": "so"}
    log.on_log(None, state, None, logs)
    row = json.loads(lines.path.read_text("utf-8"), parse_constant=_refuse)
    assert row | {"elapsed_s": 0} == {
        "stage": "rl", "step": 3, "elapsed_s": 0, "loss": 0.5, "replay/tokens": 0.0,
    }  # fmt: skip
    assert heard == ["rl step 3/9: loss 0.500"]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
