"""The examples of `examples/extend` as a user has them: outside, beside a configuration."""

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quillgraph.rl import load_config

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
EXAMPLES = {"loss": "repetition", "reward": "dialogue"}


def example(folder: str) -> Any:
    path = ROOT / "examples" / "extend" / folder / f"{EXAMPLES[folder]}.py"
    spec = importlib.util.spec_from_file_location(EXAMPLES[folder], path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(ids: list[int], chance: float, *, weight: float = 0.5) -> Any:
    from quillgraph.rl import Rows

    logps_BT = torch.full((1, len(ids)), chance, dtype=torch.float64).log().requires_grad_()
    ones_BT = torch.ones_like(logps_BT).detach()
    mask_BT = ones_BT.clone()
    mask_BT[0, -1] = 0.0
    no_B, yes_B = torch.tensor([False]), torch.tensor([True])
    zero_B = torch.zeros(1, dtype=torch.float64)
    return Rows(
        logps_BT=logps_BT, completion_ids_BT=torch.tensor([ids]), mask_BT=mask_BT,
        behaviour_BT=logps_BT.detach(), is_known_B=yes_B, is_fresh_B=yes_B, is_shaped_B=no_B,
        advantages_B=zero_B, weights_B=torch.tensor([weight], dtype=torch.float64),
        anchors_B=zero_B,
    )  # fmt: skip


def test_repetition_makes_tokens_that_end_a_known_run_less_likely() -> None:
    # 1234 comes again at the ninth token, 2341 at the tenth, and the last one is masked
    rows = rows_of([1, 2, 3, 4, 7, 1, 2, 3, 4, 7, 1], chance=0.25)
    module = example("loss")
    assert module.repeats(rows.completion_ids_BT).tolist() == [[0.0] * 8 + [1.0] * 3]
    value = module.repetition(rows)
    # two tokens of weight .5: -ln .75 = .287682
    assert value.item() == pytest.approx(0.287682, abs=1e-6)
    value.backward()
    # d/d log π of -log(1 - π) is π / (1 - π) = 1/3
    assert rows.logps_BT.grad[0].tolist() == pytest.approx([0.0] * 8 + [1 / 6, 1 / 6, 0.0])


def test_a_text_that_repeats_nothing_costs_nothing() -> None:
    assert example("loss").repetition(rows_of([1, 2, 3, 4, 5, 6], chance=0.25)).item() == 0


def trained(file: Path, out: Path) -> list[dict[str, Any]]:
    """Train, and give the metrics of each step."""
    from quillgraph.rl import train

    train(load_config(file), out, resume=False, tell=lambda _: None)
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def test_a_configuration_adds_a_term_from_a_file_beside_it(
    short_run: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "examples/extend/loss/repetition.py", tmp_path)
    alone = trained(short_run(), tmp_path / "alone")
    file = short_run(terms={"repetition.py:repetition": 0.1})
    both = trained(file, tmp_path / "both")
    assert all("repetition/loss" not in row for row in alone)
    assert all(row["repetition/loss"] >= 0 for row in both)
    # the same texts in the first step: the losses differ by the weighed term
    added = both[0]["loss"] - alone[0]["loss"]
    assert added == pytest.approx(0.1 * both[0]["repetition/loss"], abs=1e-6)


def test_a_configuration_adds_a_reward_from_a_file_beside_it(
    short_run: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "examples/extend/reward/dialogue.py", tmp_path)
    functions = {"functions": ["dialogue.py:dialogue"]}
    file = short_run({"reward_weights": [1.0, 0.5]}, {"rewards": functions})
    steps = trained(file, tmp_path / "out")
    # words without a quotation mark: 1 - (1/3) / (2/3) = .5
    assert [row["rewards/dialogue/mean"] for row in steps] == [pytest.approx(0.5)] * 2
    for row in steps:
        # an empty text has no such reward, and is left out of its group and of these means
        whole = row["rewards/criteria/mean"] + 0.5 * 0.5
        assert row["reward"] == pytest.approx(whole, abs=1e-5)


def test_a_third_of_speech_earns_the_whole_reward() -> None:
    dialogue = example("reward").dialogue
    # 4 of 12 characters are speech; none; no text; 7 of 9: 1 - (7/9 - 1/3)·1.5
    texts = ['"sing" she!!', "rain on sea.", " ", '"sea sea"']
    rewards = dialogue(completions=[[{"role": "assistant", "content": each}] for each in texts])
    assert rewards == [pytest.approx(1.0), pytest.approx(0.5), None, pytest.approx(1 / 3)]
    # 2 of 8: 1 - (1/3 - 1/4)·1.5
    assert dialogue(completions=["“灯塔”说了说了"], prompts=["p"]) == [pytest.approx(0.875)]


def test_terms_of_trls_own_trainer_are_refused(short_run: Callable[..., Path]) -> None:
    from quillgraph.backends.errors import ConfigError

    with pytest.raises(ConfigError, match=r"no further terms: with rl\.terms set algorithm: mrpo"):
        load_config(short_run(algorithm="grpo", terms={"repetition.py:repetition": 0.1}))


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_code_on_a_page_is_that_of_its_example(page: str) -> None:
    text = (ROOT / "docs" / "extend" / f"{page}.md").read_text(encoding="utf-8")
    file = ROOT / "examples" / "extend" / page / f"{EXAMPLES[page]}.py"
    code = file.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    functions = [block for block in blocks if block.startswith("def ")]
    assert functions
    assert [block for block in functions if block not in code] == []
