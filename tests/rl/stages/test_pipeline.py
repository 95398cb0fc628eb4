"""A run from its configuration to its adapter, on the tiny model, and what it refuses."""

import asyncio
import json
import resource
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.backends.errors import (
    ConfigError,
    GuardTripped,
    OutOfMemory,
    PolicyError,
    QuillError,
    RewardError,
    StorageError,
)
from quillgraph.rl.config.run import load_config

REQUESTS = [
    {"request": f"Write a story in exactly {n} words about the {word}.", "split": split}
    for n, (word, split) in enumerate(
        [("sun", "train"), ("moon", "train"), ("rain", "train"), ("sea", "held_out")], 3
    )
]
STEP = {
    "max_steps": 2,
    "learning_rate": 1e-3,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 8,
}

Configure = Callable[..., Path]


@pytest.fixture
def quiet(training_libraries: None) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries' own; what we warn of is in the log
        yield


@pytest.fixture
def configure(tiny_folder: Path, tmp_path: Path, quiet: None) -> Configure:
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, REQUESTS)))

    def make(**changes: Any) -> Path:
        base = {
            "model": {"name": str(tiny_folder), "lora": {"r": 4}},
            "data": {"prompts": "prompts.jsonl"},
            "criteria": {"study": "hard"},
            "rl": {"options": STEP},
            "evaluation": {"every": 0, "texts": 2},
            "checkpoints": {"every": 1},
        }
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump({**base, **changes}))
        return file

    return make


def trained(file: Path, out: Path, *, resume: bool = False) -> list[str]:
    """Train, and give what the user was told."""
    from quillgraph.rl.stages.pipeline import train

    lines: list[str] = []
    train(load_config(file), out, resume=resume, tell=lines.append)
    return lines


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


def test_a_run_leaves_its_whole_record(configure: Configure, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines = trained(configure(), out)
    assert (out / "adapter" / "adapter_model.safetensors").exists()
    card = json.loads((out / "adapter" / "quillgraph.json").read_text())
    assert card["base"] == str(tmp_path / "tiny")
    assert (out / "curves.png").stat().st_size > 1000
    assert len(list((out / "criteria").glob("*.json"))) == len(REQUESTS)
    steps = [row for row in rows(out, "metrics") if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    assert {"time/generate_s", "time/judge_s", "time/update_s"} <= set(steps[0])
    assert {"criteria/kept_all", "watch/words", "memory/size"} <= set(steps[0])
    # 8 texts a step, and 2 for the one held-out request before and after
    assert [row["step"] for row in rows(out, "rollouts")] == [1] * 8 + [2] * 8
    assert [row["step"] for row in rows(out, "samples")] == [0, 0, 2, 2]
    assert any("held out at step 2" in line for line in lines)
    ledger = json.loads((out / "ledger.json").read_text())
    assert [step for step, _ in ledger] == [0, 1]


def test_the_adapter_of_a_run_is_where_the_next_one_may_go_on_from(
    configure: Configure, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    trained(configure(), tmp_path / "first")
    adapter = tmp_path / "first" / "adapter"
    file = configure(
        model={"name": str(tmp_path / "tiny"), "adapter": str(adapter)},
        rl={"algorithm": "grpo", "options": {**STEP, "learning_rate": 1e-9, "max_steps": 1}},
    )
    trained(file, tmp_path / "second")
    before = load_file(adapter / "adapter_model.safetensors")
    after = load_file(tmp_path / "second" / "adapter" / "adapter_model.safetensors")
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, atol=1e-6, rtol=0)


def test_sft_imitates_the_best_of_several_drafts_and_reinforcement_goes_on_from_it(
    configure: Configure, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    script = tmp_path / "drafts.yaml"
    rule = {"when": "story", "reply": ["sun sun sun", "sun moon rain sea stone", "sun door"] * 4}
    script.write_text(yaml.safe_dump({"rules": [rule]}))
    collected = {"graph": "best_of_n", "texts": 4, "backend": f"scripted:{script}"}
    lines = trained(
        configure(
            sft={"collect": collected, "options": {"per_device_train_batch_size": 2}},
            rl={"options": {**STEP, "max_steps": 1}},
        ),
        out,
    )
    assert any("episodes give {'write': " in line for line in lines)
    targets = rows(out / "sft", "targets")
    assert {row["kind"] for row in targets} == {"write"}
    assert all(row["delta"] > 0 for row in targets)
    chosen = rows(out / "sft", "preferences")
    assert all(row["chosen_reward"] > row["rejected_reward"] for row in chosen)
    assert {row["stage"] for row in rows(out, "metrics")} == {"sft", "rl"}
    # a run that was stopped after the first stage does not imitate again
    shutil.rmtree(out / "checkpoints" / "rl")
    again = trained(tmp_path / "run.yaml", out, resume=True)
    assert "sft was finished before" in again


def test_without_reinforcement_the_data_say_how_long_a_text_may_be(
    configure: Configure, tmp_path: Path
) -> None:
    out, script = tmp_path / "out", tmp_path / "drafts.yaml"
    rule = {"when": "story", "reply": ["sun sun sun", "sun moon rain sea stone", "sun door"] * 4}
    script.write_text(yaml.safe_dump({"rules": [rule]}))
    collected = {"graph": "best_of_n", "texts": 4, "backend": f"scripted:{script}"}
    config = configure(
        data={"prompts": "prompts.jsonl", "text_tokens": 4},
        sft={"collect": collected, "options": {"per_device_train_batch_size": 2}},
        rl=None,
    )
    trained(config, out)
    episodes = rows(out / "sft", "episodes")
    drafts = {attempt["text"] for episode in episodes for attempt in episode["attempts"]}
    assert "sun moon rain se" in drafts  # a scripted token is four bytes
    assert max(map(len, drafts)) == 16
    assert {row["stage"] for row in rows(out, "metrics")} == {"sft"}


def test_nothing_to_imitate_is_said(configure: Configure, tmp_path: Path) -> None:
    script = tmp_path / "drafts.yaml"
    script.write_text(yaml.safe_dump({"rules": [{"when": "story", "reply": "sun moon rain"}]}))
    collected = {"graph": "best_of_n", "texts": 2, "backend": f"scripted:{script}"}
    with pytest.raises(ConfigError, match="nothing to imitate: in none of 3 episodes"):
        trained(configure(sft={"collect": collected}), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model": {"name": "nowhere"}}, ConfigError, "expected a built-in model, a folder"),
        ({"rl": {"options": {**STEP, "max_step": 1}}}, ConfigError, "did you mean 'max_steps'"),
        (
            {"rl": {"options": {**STEP, "max_completion_length": 128}}},
            ConfigError,
            "passes the model's window of 128; shorten it",
        ),
        (
            {"rl": {"options": {**STEP, "num_generations": 16}}},
            ConfigError,
            "num_generations",
        ),
        (
            {"rl": {"options": {**STEP, "num_iterations": 2}}},
            ConfigError,
            "checkpoints.every: expected a multiple of 2",
        ),
        ({"rl": {"rollouts": "scripted:x.yaml"}}, ConfigError, "x.yaml"),
        ({"rewards": {"judge": "scorer:nowhere"}}, ConfigError, "expected scorer:FOLDER"),
        ({"guards": {"pairwise_judge": "scorer:prose"}}, ConfigError, "scores and no words"),
        (
            {"rewards": {"functions": ["nothing:at_all"]}},
            ConfigError,
            "no module 'nothing' for rewards.functions 'nothing:at_all'",
        ),
        (
            {"rewards": {"functions": ["nowhere.py:f"]}},
            ConfigError,
            r"no file .*nowhere.py; expected file.py:attribute",
        ),
        ({"rewards": {"functions": ["length"]}}, ConfigError, "expected module:function or file"),
        ({"rewards": {"functions": ["math:sqr"]}}, ConfigError, "did you mean 'sqrt'"),
        (
            {"rewards": {"functions": ["math:pi"]}},
            ConfigError,
            "a function at 'math:pi', got float",
        ),
        (
            {"rewards": {"functions": ["shutil:copy"]}},
            ConfigError,
            r"'shutil:copy' has no parameter \*\*columns",
        ),
        (
            {"rl": {"terms": {"nothing:at_all": 0.1}}},
            ConfigError,
            "no module 'nothing' for rl.terms",
        ),
        (
            {"report_to": ["tensorbord"]},
            ConfigError,
            "unknown tracker 'tensorbord': did you mean 'tensorboard'",
        ),
        ({"report_to": ["wandb"]}, ConfigError, "report_to: wandb is not installed here"),
        (
            {"rl": {"options": {**STEP, "reward_weights": [1.0, 2.0]}}},
            ConfigError,
            "reward_weights: expected 1 weights",
        ),
        (
            {
                "rl": {
                    "graph": "best_of_n",
                    "credit_per_role": True,
                    "options": {**STEP, "scale_rewards": "group"},
                }
            },
            ConfigError,
            "divide advantages among calls",
        ),
        (
            {"rl": {"options": {**STEP, "anchor_weight": 0.1}}},
            ConfigError,
            "rl.options.anchor_weight is about revisions, which an engine writes",
        ),
        (
            {
                "rl": {
                    "algorithm": "grpo",
                    "rollouts": "transformers:smollm2-135m",
                    "options": {**STEP, "top_k": 5},
                }
            },
            ConfigError,
            r"\{'top_k': 5\} are options of TRL's own generation",
        ),
        (
            {"sft": {}, "rl": {"options": {**STEP, "max_step": 1}}},
            ConfigError,
            "did you mean 'max_steps'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    configure: Configure,
    tmp_path: Path,
    changes: dict[str, Any],
    kind: type[QuillError],
    message: str,
) -> None:
    from quillgraph.rl.stages.pipeline import check

    with pytest.raises(kind, match=message):
        trained(configure(**changes), tmp_path / "out")
    assert not (tmp_path / "out" / "rollouts.jsonl").exists()
    assert not (tmp_path / "out" / "sft").exists()
    with pytest.raises(kind, match=message):
        check(load_config(configure(**changes)), tmp_path / "dry", lambda _: None)


def test_a_dry_run_makes_the_trainer_and_leaves_it(configure: Configure, tmp_path: Path) -> None:
    from quillgraph.rl.stages.pipeline import check

    lines: list[str] = []
    check(load_config(configure()), tmp_path / "dry", lines.append)
    assert "no revisions in memory and no SFT anchor: they need an engine (rl.rollouts)" in lines
    assert not (tmp_path / "dry" / "checkpoints").exists()
    crowded = {"rl": {"prompts": "middling", "options": {**STEP, "num_generations": 2}}}
    with pytest.raises(ConfigError, match=r"expected at least 4 requests to train on, .* got 3"):
        check(load_config(configure(**crowded)), tmp_path / "dry", lines.append)


@pytest.mark.parametrize(("multiplies", "warned"), [(True, False), (False, True)])
def test_bfloat16_that_would_be_emulated_is_told(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    multiplies: bool,
    warned: bool,
) -> None:
    from quillgraph.rl.stages import trainer as trainers

    monkeypatch.setattr(trainers, "multiplies_bfloat16", lambda: multiplies)
    lines = trained(
        configure(rl={"options": {**STEP, "max_steps": 1, "bf16": True}}), tmp_path / "o"
    )
    assert any("bf16: auto takes float32 here" in line for line in lines) is warned


def test_a_request_that_nothing_can_reward_is_refused(configure: Configure, tmp_path: Path) -> None:
    file = configure()
    (tmp_path / "prompts.jsonl").write_text(
        f'{{"request": "Something nice."}}\n{json.dumps(REQUESTS[0])}'
    )
    with pytest.raises(ConfigError, match=r"nothing to reward: the request 'Something nice.'"):
        trained(file, tmp_path / "out")


@pytest.mark.parametrize(
    ("algorithm", "order"), [("mrpo", "shuffled"), ("mrpo", "middling"), ("grpo", "shuffled")]
)
def test_fewer_requests_than_a_generation_takes_are_refused_before_anything_is_looked_for(
    configure: Configure, tmp_path: Path, algorithm: str, order: str
) -> None:
    file = configure(rl={"algorithm": algorithm, "prompts": order, "options": STEP})
    one = [REQUESTS[0], REQUESTS[3]]
    assert [each["split"] for each in one] == ["train", "held_out"]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, one)))
    # 8 texts in a generation, 4 for each request
    with pytest.raises(ConfigError, match=r"at least 2 requests to train on, .* got 1"):
        trained(file, tmp_path / "out")
    assert not (tmp_path / "out" / "criteria").exists()


@pytest.mark.parametrize("steps", [{}, {"max_steps": 2}])
def test_a_stage_without_a_step_is_no_success(
    configure: Configure, tmp_path: Path, steps: dict[str, int]
) -> None:
    script = tmp_path / "drafts.yaml"
    rule = {"when": "story", "reply": ["sun sun sun", "sun moon rain sea stone", "sun door"] * 4}
    script.write_text(yaml.safe_dump({"rules": [rule]}))
    # 4 drafts for each of 3 requests give fewer targets than a batch of 64 takes
    collected = {"graph": "best_of_n", "texts": 4, "backend": f"scripted:{script}"}
    options = {"per_device_train_batch_size": 64, "dataloader_drop_last": True, **steps}
    file = configure(
        data={"prompts": "prompts.jsonl", "text_tokens": 4},
        sft={"collect": collected, "options": options},
        rl=None,
    )
    with pytest.raises(ConfigError, match="sft made no step"):
        trained(file, tmp_path / "out")
    assert not (tmp_path / "out" / "adapter").exists()


def test_an_adapter_of_another_base_is_refused(configure: Configure, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    trained(configure(rl={"options": {**STEP, "max_steps": 1}}), tmp_path / "first")
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "tiny", other)
    model = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1.0)
    model.save_pretrained(other)
    adapter = str(tmp_path / "first" / "adapter")
    with pytest.raises(PolicyError, match="was trained on a base with fingerprint"):
        trained(configure(model={"name": str(other), "adapter": adapter}), tmp_path / "second")


def test_criteria_that_changed_under_a_checkpoint_are_refused(
    configure: Configure, tmp_path: Path
) -> None:
    out, file = tmp_path / "out", configure()
    trained(file, out)
    changed = [{**row, "request": row["request"].replace("exactly", "at most")} for row in REQUESTS]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, changed)))
    with pytest.raises(PolicyError, match="made with another criteria of"):
        trained(file, out, resume=True)


def test_scores_of_another_judge_are_not_mixed_with_those_that_are_remembered(
    configure: Configure, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    trained(configure(), out)
    judge = tmp_path / "judge.yaml"
    judge.write_text(yaml.safe_dump({"rules": [{"when": "story", "reply": "none"}]}))
    with pytest.raises(PolicyError, match="made with another judge: 'code', and now it is"):
        trained(configure(rewards={"judge": f"scripted:{judge}"}), out, resume=True)


def failing(**_: Any) -> list[float]:
    raise RuntimeError("CUDA error or not")


def missing(completions: list[Any], **_: Any) -> list[float | None]:
    return [None] * len(completions)


def late(completions: list[Any], trainer_state: Any, **_: Any) -> list[float]:
    return [float("nan") if trainer_state.global_step else 0.0] * len(completions)


@pytest.mark.model
def test_a_trained_scorer_gives_the_rewards(configure: Configure, tmp_path: Path) -> None:
    from quillgraph.rl.run.run import prepare

    config = load_config(configure(rewards={"judge": "scorer:prose"}))
    run = prepare(config, tmp_path / "out", lambda said: None)
    try:
        assert run.scorer.judge is not None
        assert run.scorer.judge.name.startswith("scorer:prose@")
        # there is no model to be closed at the end
        assert run.judge is None
    finally:
        asyncio.run(run.aclose())


@pytest.fixture
def rewards_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(__file__, tmp_path / "own_rewards.py")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("rewards_module")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "reward function 'failing' failed with RuntimeError: CUDA error or not"),
        ("missing", "no reward for any of 8 texts from 'missing'"),
    ],
)
def test_a_users_reward_function_that_goes_wrong_ends_the_run(
    configure: Configure, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(RewardError, match=message):
        trained(configure(rewards={"functions": [f"own_rewards:{name}"]}), tmp_path / "out")


@pytest.mark.usefixtures("rewards_module")
def test_a_reward_that_is_no_number_ends_the_run_and_keeps_its_checkpoints(
    configure: Configure, tmp_path: Path
) -> None:
    with pytest.raises(RewardError, match="number or None from reward function 'late', got nan"):
        trained(configure(rewards={"functions": ["own_rewards:late"]}), tmp_path / "out")
    kept = list((tmp_path / "out" / "checkpoints" / "rl").glob("step-*"))
    assert [each.name for each in kept] == ["step-000001"]


def test_steps_in_which_no_text_is_better_than_another_are_told(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.rewards import rules as rewards

    whole = rewards.group_rewards

    def equal(*parts: Any, **options: Any) -> Any:
        each, values = whole(*parts, **options)
        return each, (0.5,) * len(values)

    monkeypatch.setattr("quillgraph.rl.rewards.rules.group_rewards", equal)
    monkeypatch.setattr("quillgraph.rl.stages.rl.recount_of", lambda *_: lambda *_: 0.5)
    plain = {**STEP, "max_steps": 4}
    mrpo = {"algorithm": "mrpo", "options": {**plain, "hard_gate": False}}
    for rl in (mrpo, {"algorithm": "grpo", "options": plain}):
        lines = trained(configure(rl=rl), tmp_path / str(rl["algorithm"]))
        warned = [line for line in lines if "all texts of each request had the same reward" in line]
        assert len(warned) == 1


def test_out_of_memory_says_what_to_lower(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import Trainer

    def too_large(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Trainer, "training_step", too_large)
    with pytest.raises(OutOfMemory, match=r"lower rl\.options\.per_device_train_batch_size"):
        trained(configure(), tmp_path / "out")


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.monitors.log import PromptCounts

    out, save = tmp_path / "out", PromptCounts.save

    def full(self: PromptCounts, folder: Path) -> None:
        if len(self.steps) > 1:
            raise OSError(28, "No space left on device")
        save(self, folder)

    monkeypatch.setattr(PromptCounts, "save", full)
    with pytest.raises(
        StorageError, match=r"step 2 .*No space left on device; earlier checkpoints are intact"
    ):
        trained(configure(), out)
    assert [each.name for each in (out / "checkpoints" / "rl").iterdir()] == ["step-000001"]
    monkeypatch.undo()
    trained(configure(), out, resume=True)
    assert [row["step"] for row in rows(out, "metrics") if "loss" in row] == [1, 2]


@pytest.mark.parametrize(
    ("name", "share"), [("adapter_model.safetensors", 0.5), ("optimizer.pt", 0.99)]
)
def test_a_file_that_cannot_be_written_whole_is_told_whoever_writes_it(
    configure: Configure,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    share: float,
) -> None:
    from quillgraph.rl.monitors.checkpoints import Checkpoints

    # an adapter that is larger than all that is written before it
    file = configure(model={"name": str(tiny_folder), "lora": {"r": 64}})
    out, seal = tmp_path / "out", Checkpoints.seal
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def sealed(self: Checkpoints, written: Path, step: int) -> Path:
        manifest = seal(self, written, step)
        # the writers of torch and of safetensors meet the end of a disk in words of their own
        most = int((manifest / name).stat().st_size * share)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        return manifest

    monkeypatch.setattr(Checkpoints, "seal", sealed)
    try:
        with pytest.raises(StorageError, match="earlier checkpoints are intact"):
            trained(file, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    monkeypatch.undo()
    trained(file, out, resume=True)
    assert [row["step"] for row in rows(out, "metrics") if "loss" in row] == [1, 2]


def test_a_diverging_run_is_stopped_with_a_checkpoint(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.monitors.guards import Divergence

    judge = tmp_path / "judge.yaml"
    judge.write_text(yaml.safe_dump({"rules": [{"when": "story", "reply": '{"better":"A"}'}]}))
    monkeypatch.setattr(Divergence, "check", lambda self, rate, window: True)
    monkeypatch.setattr("quillgraph.rl.monitors.guards.win_rate", _lost)
    file = configure(
        rl={"options": {**STEP, "max_steps": 5}},
        guards={"pairwise_judge": f"scripted:{judge}", "pairwise_every": 2},
        checkpoints={"every": 5},
    )
    with pytest.raises(GuardTripped, match="prefers the new texts in only 10% of cases"):
        trained(file, tmp_path / "out")
    kept = list((tmp_path / "out" / "checkpoints" / "rl").iterdir())
    assert [each.name for each in kept] == ["step-000002"]


async def _lost(*_: Any) -> float:
    return 0.1
