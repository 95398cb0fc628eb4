"""Prompts of middling difficulty come more often."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.columns import key_of
from quillgraph.rl.config.run import load_config

pytest.importorskip("trl")

from quillgraph.rl.mrpo.prompts import PromptSampler

PROMPTS = ["p0", "p1", "p2", "p3"]


def sampler(seed: int = 0, **options: Any) -> PromptSampler:
    how = {"per_generation": 1, "copies": 2, "passes": 1, **options}
    return PromptSampler(PROMPTS, seed=seed, **how)


def test_an_epoch_is_dealt_as_trl_deals_it() -> None:
    epoch = sampler(per_generation=2, copies=3, passes=2)
    dealt = list(epoch)
    # 2 generations of 2 prompts, each prompt three times, each generation twice
    assert len(epoch) == len(dealt) == 24
    for start in (0, 12):
        generation = dealt[start : start + 12]
        assert generation[:6] == generation[6:]
        assert generation[:3] == [generation[0]] * 3
        assert generation[0] != generation[3]


def test_middling_prompts_come_more_often() -> None:
    # rewards .5, .5, .1 and .9: weights 1, 1, exp(-.16/.08) = .1353 twice; after all were drawn at
    # the same age the middling two take 2/2.27 = 88.1 % of the draws
    first = Counter[int]()
    for seed in range(400):
        prompts = sampler(seed, per_generation=4)
        prompts.drawn(1)
        prompts.note(dict(zip(map(key_of, PROMPTS), (0.5, 0.5, 0.1, 0.9), strict=True)))
        first[prompts.drawn(2)[0]] += 1
    assert (first[0] + first[1]) / 400 == pytest.approx(0.881, abs=0.05)


def test_what_was_not_drawn_for_long_comes_again() -> None:
    prompts = sampler()
    hard = dict.fromkeys(map(key_of, PROMPTS), 0.5) | {key_of("p3"): 0.0}
    drawn = []
    for generation in range(200):
        drawn.append(prompts.drawn(generation)[0])
        prompts.note(hard)
    counts = Counter(drawn)
    assert 2 <= counts[3] < min(counts[number] for number in (0, 1, 2))


def test_a_draw_knows_the_rewards_of_two_generations_before_and_no_later_ones() -> None:
    early, late = sampler(), sampler()
    for generation in range(6):
        early.drawn(generation + 1)  # as a data loader fetches
        means = {key_of(PROMPTS[early.drawn(generation)[0]]): 0.1 * generation}
        early.note(means)
        late.note(means)
    assert [late.drawn(number) for number in range(7)] == [
        early.drawn(number) for number in range(7)
    ]


def test_what_it_knows_is_kept_in_a_checkpoint(tmp_path: Path) -> None:
    before, again = sampler(), sampler()
    before.note({key_of("p1"): 0.5, key_of("p2"): None})
    before.save(tmp_path)
    again.load(tmp_path)
    assert again.means == [{key_of("p1"): 0.5}]


def test_fewer_prompts_than_a_step_takes_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 5 prompts"):
        sampler(per_generation=5)


def trained(file: Path, out: Path, *, resume: bool = False) -> None:
    from quillgraph.rl.stages.pipeline import train

    train(load_config(file), out, resume=resume, tell=lambda _: None)


def steps(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row]


@pytest.mark.parametrize("overlap", [False, True])
def test_a_run_that_is_cut_off_draws_the_prompts_that_it_would_have_drawn(
    short_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlap: bool
) -> None:
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    # 3 prompts, 1 a step: the cut is in the second epoch
    file = short_run(
        {"max_steps": 7, "per_device_train_batch_size": 4},
        prompts="middling",
        overlap=overlap,
        rollouts=f"transformers:{tmp_path / 'tiny'}",
    )
    trained(file, whole)
    inner = MRPOTrainer.training_step

    def cut(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.state.global_step == 4:
            raise KeyboardInterrupt
        return inner(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(MRPOTrainer, "training_step", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(file, broken)
    trained(file, broken, resume=True)
    ledgers = [json.loads((out / "ledger.json").read_text()) for out in (whole, broken)]
    assert ledgers[0] == ledgers[1]
    ages = [row["rollouts/policy_age"] for row in steps(broken)]
    assert ages == ([0] + [1] * 6 if overlap else [0] * 7)
    for one, other in zip(steps(whole), steps(broken), strict=True):
        assert (one["loss"], one["grad_norm"]) == pytest.approx(
            # an engine batches who asks at once, which moves the last bits of log-probs
            (other["loss"], other["grad_norm"]),
            abs=1e-5,
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "grpo"}, "with rl.prompts: middling set algorithm: mrpo"),
        ({"options": {"dataloader_num_workers": 1}}, "leave it at 0"),
        (
            {"options": {"per_device_train_batch_size": 16}},
            "expected at least 4 requests to train on",
        ),
    ],
)
def test_what_has_no_say_over_prompts_is_refused(
    short_run: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(short_run(prompts="middling", **changes), tmp_path / "out")
