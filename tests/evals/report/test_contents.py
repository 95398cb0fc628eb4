import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quillgraph.evals.report.contents import read_contents
from quillgraph.evals.report.page import render_page

KEYS = st.sampled_from(
    ["status", "settings", "versions", "guards", "least_win_rate", "stage", "step", "loss",
     "eval/reward", "guard/win_rate", "watch/words", "request", "text", "value", "gate", "missing",
     "low", "high", "clusters", "judged", "human", "probe", "number", "reason", "$x_"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "name",
    ["run.json", "report.json", "metrics.jsonl", "samples.jsonl", "failures.jsonl",
     "checkpoints/rl/step-1/watch.json"],
)  # fmt: skip
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=ANYTHING)
def test_no_json_however_odd_keeps_a_page_from_being_made(
    tmp_path: Path, name: str, value: Any
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n" + json.dumps({"stage": "rl", "step": 1, "loss": 1.0}))
    (tmp_path / "request.txt").write_text("x")
    assert render_page(read_contents(tmp_path)).rstrip().endswith("</html>")


def test_a_loss_that_diverged_is_read_from_the_file_as_training_writes_it(tmp_path: Path) -> None:
    lines = [json.dumps({"stage": "rl", "step": n, "loss": x}) for n, x in ((1, 1.0), (2, 9e999))]
    (tmp_path / "metrics.jsonl").write_text(
        "\n".join([*lines, '{"stage": "rl", "step": 3, "loss": NaN, "kl": NaN}\n'])
    )
    contents = read_contents(tmp_path)
    assert contents.training
    (panel,) = contents.training.panels
    assert {c.name: (c.values, c.undefined) for c in panel.curves} == {
        "loss": ((1.0,), 2),
        "kl": ((), 1),  # what was never a number is shown to be so
    }
    assert "no number in 1 step" in render_page(contents)
    assert contents.notes == ("run.json is missing or damaged: how the run ended is not known.",)


def test_episodes_stand_in_the_order_of_their_requests(tmp_path: Path, hand: Any) -> None:
    episodes = [hand.episode().model_copy(update={"id": name}) for name in ("10", "2", "1")]
    hand.put(tmp_path, "episodes.jsonl", episodes)
    contents = read_contents(tmp_path)
    assert [each.id for each in contents.episodes] == ["1", "2", "10"]
    assert [work.title for work in contents.works] == ["Request 1", "Request 2", "Request 10"]
