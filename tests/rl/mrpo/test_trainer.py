"""The real trainer on a tiny model: what is remembered, replayed, anchored, revised and refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quillgraph.agents.judgements import Judgement, Violation, text_hash
from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.rl.columns import key_of
from quillgraph.rl.mrpo.memory import Revision, Unsatisfying
from quillgraph.rl.mrpo.replay import Entry

pytest.importorskip("trl")

Make = Callable[..., Any]


def brightness(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward: share of the words of a text that are `sun`."""
    texts = [each[0]["content"].split() for each in completions]
    return [sum(word == "sun" for word in text) / max(1, len(text)) for text in texts]


def tenths(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward that falls into four steps within each group, whatever the texts are."""
    return [(number % 4) / 10 for number in range(len(completions))]


@pytest.fixture
def trainer(
    tiny_model: Callable[[], Any], tokenizer: Any, prompts: Any, options: dict[str, Any]
) -> Make:
    """Make a trainer; keyword arguments are options of the run, or the trainer's own."""
    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    own = (
        "reward_funcs", "recount", "reflect", "rollout_func", "train_dataset", "args", "model",
        "terms",
    )  # fmt: skip

    def make(**parts: Any) -> Any:
        settings = {"replay_start": 0, "replay_start_reward": 0.0, **options}
        settings |= {name: value for name, value in parts.items() if name not in own}
        base = {"model": tiny_model(), "reward_funcs": [brightness], "train_dataset": prompts}
        base |= {name: value for name, value in parts.items() if name in own}
        base.setdefault("args", MRPOConfig(**settings))
        return MRPOTrainer(processing_class=tokenizer, **base)

    return make


def _logged(trainer: Any, name: str) -> list[float]:
    return [each[name] for each in trainer.state.log_history if name in each]


def test_several_groups_are_stored_and_replayed_in_a_real_run_under_fresh_hashes(
    trainer: Make,
) -> None:
    # 8 prompts, 2 a step: each prompt comes again after 4 steps
    run = trainer(max_steps=8)
    run.train()

    stored = {entry.prompt for entry in run.memory}
    replayed = [number for each in run.ledger for number in each.replayed]
    prompts = {entry.prompt for entry in run.memory if entry.uses}
    assert len(stored) > 1
    assert len(prompts) > 1
    assert {entry.criteria_sha for entry in run.memory} == {"c0"}
    assert sum(_logged(run, "memory/stale")) == 0
    assert sum(entry.uses for entry in run.memory) == len(replayed)
    assert len(_logged(run, "replay/ess")) == sum(bool(each.replayed) for each in run.ledger)
    assert all(0 < ess <= 1 for ess in _logged(run, "replay/ess"))
    assert all(0.5 < ratio < 2 for ratio in _logged(run, "replay/ratio_mean"))
    assert all(share <= 0.5 for share in _logged(run, "replay/token_share"))


def test_kl_and_clip_counts_touch_fresh_tokens_only(trainer: Make, tiny_folder: Path) -> None:
    # algorithm 7.1, test 3: the same step with a memory full of far-off rows and with none
    logged = []
    for weight in (0.0, 1.0):
        run = trainer(model=str(tiny_folder), beta=0.1, max_steps=1, replay_weight=weight)
        for prompt in {
            each["prompt"][0]["content"]: each["prompt"] for each in run.train_dataset
        }.values():
            run.memory.add(_entry(prompt, logprob=-9.0))
        run.train()
        logged.append(
            {name: _logged(run, name) for name in ("kl", "clip_ratio/region_mean", "entropy")}
        )
        assert bool(_logged(run, "replay/clip_share")) == bool(weight)
    assert logged[0] == logged[1]
    assert _logged(run, "replay/clip_share") == [1.0]  # w is far above 1.28 for each of them


def test_a_changed_hash_empties_the_memory_of_its_prompts(trainer: Make, prompts: Any) -> None:
    # algorithm 7.1, test 7
    run = trainer(max_steps=4)
    run.train()
    before = len(run.memory)
    changed = prompts.map(lambda row: {"criteria_sha": "c1"})
    again = trainer(max_steps=4, train_dataset=changed)
    again.load_state_dict(run.state_dict())
    again.train()
    assert before > 1
    assert sum(_logged(again, "memory/stale")) == before
    assert sum(_logged(again, "replay/tokens")) == 0
    assert {entry.criteria_sha for entry in again.memory} == {"c1"}


def test_rubric_dropout_hides_the_same_criteria_from_fresh_and_replayed_texts(
    trainer: Make,
) -> None:
    # algorithm 7.1, test 8: the rule sees each text with the step that it counts in
    recounted: list[tuple[int, str]] = []

    def judged(completions: list[Any], log_extra: Any, **_: Any) -> list[float]:
        texts = [each[0]["content"] for each in completions]
        log_extra("judgement", [_judgement(text).model_dump_json() for text in texts])
        return tenths(completions)

    def recount(judgement: Judgement, text: str, step: int) -> float:
        assert judgement.text_sha == text_hash(text)
        recounted.append((step, text))
        return 0.1 * (text_hash(f"{step}")[0] > "7") + 0.01 * len(text.split())

    run = trainer(reward_funcs=[judged], recount={"judged": recount}, max_steps=8)
    run.train()
    steps = [each.step for each in run.ledger for _ in range(8)]
    fresh_calls, all_calls = len(steps), len(recounted)
    assert all_calls > fresh_calls  # remembered texts were counted anew too
    counted = _logged(run, "rewards/counted")
    # words of a text are worth .01 each, and some steps add .1 to all of them
    assert all((value > 0.1) == (text_hash(f"{n}")[0] > "7") for n, value in enumerate(counted))
    assert sum(bool(each.replayed) for each in run.ledger) > 0


def _judgement(text: str, *broken: str) -> Judgement:
    violations = tuple(Violation(criterion_id=each, reason="") for each in broken)
    return Judgement(
        criteria_sha="c0", text_sha=text_hash(text), judge="test", violations=violations
    )


def test_a_reflective_context_does_not_change_what_the_policy_is_asked_under(
    trainer: Make, tokenizer: Any
) -> None:
    # algorithm 7.1, test 4: revisions written under different contexts have different behaviour
    # log-probs; what the update computes of them is the same, under the bare prompt
    logps, gains = [], []
    for behaviour in (-1.0, -3.0):
        poor: list[Unsatisfying] = []

        def reflect(
            texts: Sequence[Unsatisfying],
            behaviour: float = behaviour,
            poor: list[Unsatisfying] = poor,
        ) -> list[Revision | None]:
            poor.extend(texts)
            ids = tuple(tokenizer.encode("sun sun sun"))
            return [Revision("sun sun sun", ids, (behaviour,) * 3, 1.0) for _ in texts]

        # flat groups: nothing fresh is stored, so the revisions are all that is replayed
        run = trainer(
            reward_funcs=[flat], reflect=reflect, reflect_every=1, max_steps=5, learning_rate=0.0
        )
        seen = _seen_by_the_policy(run)
        run.train()
        bare = {
            tuple(
                tokenizer.apply_chat_template(
                    each.prompt, add_generation_prompt=True, return_dict=False
                )
            )
            for each in poor
        }
        assert {tuple(entry.prompt_ids) for entry in run.memory} == bare
        assert all(entry.context == "reflective" for entry in run.memory)
        logps.append([round(each, 5) for each in seen])
        gains.append(_logged(run, "replay/ratio_mean"))
    assert logps[0] == logps[1] != []
    # e^2 between them: w depends on the context that a text was written in
    assert gains[1][0] / gains[0][0] == pytest.approx(7.389056, rel=1e-4)


def flat(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward without any spread."""
    return [0.5] * len(completions)


def _seen_by_the_policy(run: Any) -> list[float]:
    """Log-probs that the update computes for side rows."""
    seen: list[float] = []
    inner = run._side_term

    def side_term(model: Any, batch: Any) -> Any:
        import torch

        with torch.no_grad():
            ids = torch.cat([batch.prompt_ids_BP, batch.completion_ids_BT], 1)
            mask = torch.cat([batch.prompt_mask_BP, batch.completion_mask_BT], 1)
            width = batch.completion_ids_BT.size(1)
            logps, _, _ = run._get_per_token_logps_and_entropies(model, ids, mask, width)
        seen.extend(logps.flatten().tolist())
        return inner(model, batch)

    run._side_term = side_term
    return seen


def _entry(
    prompt: Any, *, logprob: float = -3.0, logprobs: tuple[float, ...] | None = None
) -> Entry:
    return Entry(
        prompt=key_of(prompt),
        criteria_sha="c0",
        context="bare",
        prompt_ids=(2, 4),
        completion_ids=(7, 8, 9, 10),
        mask=(True,) * 4,
        logprobs=logprobs or (logprob,) * 4,
        reward=0.9,
        step=0,
    )


def test_revisions_anchor_the_policy_until_four_fifths_of_the_run(
    trainer: Make, tokenizer: Any
) -> None:
    ids = (*tokenizer.encode("sun sun sun"), tokenizer.eos_token_id)

    def reflect(texts: Sequence[Unsatisfying]) -> list[Revision | None]:
        return [Revision("sun sun sun", ids, None, 1.0) for _ in texts]

    run = trainer(
        reward_funcs=[flat], reflect=reflect, reflect_every=1, replay_weight=0.0,
        anchor_weight=1.0, max_steps=20, learning_rate=1e-2,
    )  # fmt: skip
    run.train()
    losses = _logged(run, "anchor/loss")
    assert losses[0] > 2.5  # ln 17 = 2.83 for a model that knows nothing
    assert losses[-1] < losses[0] - 0.5
    assert _logged(run, "anchor/targets")[16:] == [0.0] * 4
    assert _logged(run, "reflection/gain")[0] == pytest.approx(0.5)


def test_far_off_replays_are_left_out_of_the_step(trainer: Make) -> None:
    runs = []
    for least in (0.2, 0.3):
        run = trainer(max_steps=1, learning_rate=0.0, least_ess=least)
        for row in run.train_dataset:
            # its last token is e^11 times likelier than where it was written than the others are
            run.memory.add(_entry(row["prompt"], logprobs=(-1.0, -1.0, -1.0, -12.0)))
        run.train()
        assert _logged(run, "replay/ess") == [pytest.approx(0.25, abs=0.01)]  # one token of four
        runs.append(run)
    assert [_logged(run, "replay/paused")[0] for run in runs] == [0.0, 1.0]
    # the same fresh texts: what the second loss lacks is the replay term
    missing = _logged(runs[0], "loss")[0] - _logged(runs[1], "loss")[0]
    assert missing == pytest.approx(_logged(runs[0], "replay/loss")[0], abs=1e-5)
    assert abs(missing) > 0.05


@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo", "dapo"])
def test_micro_batches_do_not_change_what_a_step_learns(trainer: Make, loss_type: str) -> None:
    norms = []
    for size in (8, 4, 2):
        run = trainer(
            loss_type=loss_type,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
        )
        for row in run.train_dataset:
            run.memory.add(_entry(row["prompt"]))
        run.train()
        assert len(run.ledger[0].replayed) == 2
        norms.append(_logged(run, "grad_norm")[0])
    assert norms[1:] == pytest.approx([norms[0]] * 2, rel=1e-4)


def _learned(run: Any) -> tuple[list[float], Any]:
    """Train, and give the loss of each micro-batch and the gradient as it stands after it."""
    import torch

    losses: list[float] = []
    gradients: list[Any] = []
    inner = run.training_step

    def step(*inputs: Any) -> Any:
        losses.append(inner(*inputs).item())
        parameters = run.model.parameters()
        gradients.append(torch.cat([each.grad.flatten().clone() for each in parameters]))
        return torch.tensor(losses[-1])

    run.training_step = step
    run.train()
    return losses, gradients


TWICE = {"num_iterations": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
"""Each batch twice, in two parts: in the second pass ratios leave 1 and losses leave 0."""


@pytest.mark.parametrize("more", [{}, TWICE], ids=["once", "twice"])
@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo"])
def test_a_term_that_says_what_trl_says_doubles_loss_and_gradient(
    trainer: Make, loss_type: str, more: dict[str, Any]
) -> None:
    import torch

    from quillgraph.rl.mrpo import losses

    def again(rows: losses.Rows) -> Any:
        ratio_BT = losses.importance(rows.logps_BT, rows.behaviour_BT)
        gain_BT = losses.clipped(ratio_BT, rows.advantages_B)
        return -(gain_BT * rows.weights_B.unsqueeze(1) * rows.mask_BT).sum()

    off = {"replay_weight": 0.0, "anchor_weight": 0.0, "loss_type": loss_type, "max_steps": 2}
    off |= {"learning_rate": 0.0} if not more else {}
    alone, its = _learned(trainer(reward_funcs=[tenths], **off, **more))
    run = trainer(reward_funcs=[tenths], terms=[losses.Term("again", again)], **off, **more)
    both, doubled = _learned(run)
    first = 2 if more else len(its)  # the micro-batches before the policy has changed
    assert both[:first] == pytest.approx([2 * each for each in alone[:first]], abs=1e-6)
    for one, two in zip(its[:first], doubled[:first], strict=True):
        assert one.abs().max() > 1e-4
        torch.testing.assert_close(two, 2 * one, atol=1e-6, rtol=1e-4)


def test_a_further_term_counts_with_its_weight_and_is_logged(trainer: Make) -> None:
    from quillgraph.rl.mrpo.losses import Rows, Term

    def tokens(rows: Rows) -> Any:
        return (rows.weights_B.unsqueeze(1) * rows.mask_BT).sum() + 0 * rows.logps_BT.sum()

    losses = []
    for terms in ([], [Term("tokens", tokens, weight=0.25)]):
        run = trainer(max_steps=1, terms=terms)
        run.train()
        losses.append(_logged(run, "loss")[0])
    # 8 texts, each token weighs 1/(8 · 8): so the mean length over L_max
    value = _logged(run, "completions/mean_length")[0] / 8
    assert _logged(run, "tokens/loss") == [pytest.approx(value)]
    assert losses[1] - losses[0] == pytest.approx(0.25 * value, abs=1e-6)


def test_micro_batches_do_not_change_what_a_further_term_teaches(trainer: Make) -> None:
    from quillgraph.rl.mrpo.losses import Rows, Term

    def surprise(rows: Rows) -> Any:
        return -(rows.logps_BT * rows.weights_B.unsqueeze(1) * rows.mask_BT).sum()

    norms = []
    for size in (8, 4, 2):
        run = trainer(
            reward_funcs=[flat],
            terms=[Term("surprise", surprise)],
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
        )
        run.train()
        norms.append(_logged(run, "grad_norm")[0])
    assert norms[0] > 1e-3
    assert norms[1:] == pytest.approx([norms[0]] * 2, rel=1e-4)


def test_a_further_term_can_read_the_rows_beside_the_texts(trainer: Make) -> None:
    from quillgraph.rl.mrpo.losses import Rows, Term

    read: list[list[list[int]]] = []

    def watch(rows: Rows) -> Any:
        read.append(rows.completion_ids_BT.tolist())
        return rows.logps_BT.sum() * 0

    run = trainer(max_steps=1, terms=[Term("watch", watch, reads="beside")])
    for row in run.train_dataset:
        run.memory.add(_entry(row["prompt"]))
    run.train()
    assert read == [[[7, 8, 9, 10]] * 2]  # one remembered text of each of the two prompts


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (lambda rows: rows.logps_BT, ConfigError, r"from the term 'odd' .* got Tensor of shape"),
        (lambda rows: 0.5, ConfigError, "got float; sum it up, weighed by rows.weights_B"),
        (lambda rows: rows.logps_BT.sum() / 0, InputError, "finite number from the term 'odd'"),
    ],
)
def test_a_term_that_is_no_finite_number_ends_the_run(
    trainer: Make, value: Callable[[Any], Any], error: type[Exception], says: str
) -> None:
    from quillgraph.rl.mrpo.losses import Term

    with pytest.raises(error, match=says):
        trainer(max_steps=1, terms=[Term("odd", value)]).train()


def test_nothing_is_replayed_before_the_warm_up_or_under_poor_rewards(trainer: Make) -> None:
    late = trainer(max_steps=8, replay_start=6)
    late.train()
    assert [bool(each.replayed) for each in late.ledger[:6]] == [False] * 6
    poor = trainer(max_steps=8, replay_start_reward=0.99)
    poor.train()
    assert not any(each.replayed for each in poor.ledger)
    assert len(poor.memory) > 0


def test_a_missing_reward_is_left_out_and_counted(trainer: Make) -> None:
    def some(completions: list[Any], **_: Any) -> list[float | None]:
        return [None, 0.2, float("nan"), 0.8] * (len(completions) // 4)

    run = trainer(reward_funcs=[some], max_steps=1)
    run.train()
    assert _logged(run, "rewards/missing") == [4.0]
    assert _logged(run, "rewards/counted") == [pytest.approx(0.5)]
    assert {round(entry.reward, 3) for entry in run.memory} == {0.8}


def test_violators_of_a_hard_criterion_end_below_the_mean(trainer: Make) -> None:
    def judged(completions: list[Any], log_extra: Any, **_: Any) -> list[float]:
        texts = [each[0]["content"] for each in completions]
        broken = [("h1",) if number % 4 == 3 else () for number in range(len(texts))]
        judgements = [_judgement(text, *each) for text, each in zip(texts, broken, strict=True)]
        log_extra("judgement", [each.model_dump_json() for each in judgements])
        return tenths(completions)

    # 0 .1 .2 and .3 in violation: δ = (.3 - .15 + .05)/.75 = .2667: .0333, mean .0833
    run = trainer(reward_funcs=[judged], max_steps=1)
    gains = []
    inner = run._take_advantages

    def take(out: Any, step: Any) -> None:
        inner(out, step)
        gains.extend(out["advantages"].tolist())

    run._take_advantages = take
    run.train()
    assert gains[:4] == pytest.approx([-0.083333, 0.016667, 0.116667, -0.05], abs=1e-5)
    assert _logged(run, "judged/violations") == [0.25]
    assert 0.3 not in {round(entry.reward, 3) for entry in run.memory}


def test_a_resumed_trainer_has_the_memory_and_the_ledger(trainer: Make) -> None:
    run = trainer(max_steps=2)
    run.train()
    again = trainer(max_steps=2)
    again.load_state_dict(json.loads(json.dumps(run.state_dict())))
    assert list(again.memory) == list(run.memory) != []
    assert again.ledger == run.ledger != []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss_type": "cispo"}, "'cispo' has no replay term"),
        ({"scale_rewards": "batch"}, "mixes groups"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "mixes groups"),
        ({"importance_sampling_level": "sequence"}, "replay weighs tokens"),
        ({"replay_baseline": "split", "replays_per_prompt": 1}, "always has advantage 0"),
        ({"replay_baseline": "mixed"}, "joint, split or fresh, got 'mixed'"),
        ({"top_p": 0.9}, "cut the distribution"),
        ({"replay_token_share": 1.0}, "0 <= replay_token_share < 1"),
        ({"replay_weight": -1.0}, "replay_weight >= 0"),
        ({"memory_size": 0}, "memory_size >= 1"),
        ({"replay_gamma": 0.0}, "replay_gamma > 0"),
        ({"reflect": list, "replay_weight": 0.0, "anchor_weight": 0.0}, "nothing is remembered"),
        ({"recount": {"brightnes": max}}, "did you mean 'brightness'"),
        ({"reward_funcs": [brightness, brightness]}, "different names"),
        ({"terms": [SimpleNamespace(name="replay")]}, "episode, replay, anchor are MRPO's own"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    trainer: Make, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        trainer(**changes)


def test_a_data_set_without_criteria_hashes_is_refused(trainer: Make, prompts: Any) -> None:
    with pytest.raises(ConfigError, match="'criteria_sha' in the training set, got \\['prompt'\\]"):
        trainer(train_dataset=prompts.remove_columns("criteria_sha"))


def test_a_rule_without_judgements_to_apply_it_to_is_an_error(trainer: Make) -> None:
    run = trainer(recount={"brightness": lambda judgement, text, step: 0.5})
    with pytest.raises(InputError, match="'brightness' to log the judgement"):
        run.train()
