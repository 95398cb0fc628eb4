"""Does memory save samples? GRPO, replay, and MRPO on a writing task whose rubric is hidden.

Run: python benchmarks/hidden_rubric.py            (all arms and seeds; `make experiments` runs
them into a folder of its own)
The task is a line of six words for a prompt of two: it must name the first, end on a rhyme of the
second, repeat no word, and begin with an article. The rubric is code, so no judge's noise hides
what replay does; the policy sees only the reward. The model is a Qwen2 of two layers made here, and
starts with random weights. The result is the number of fresh samples that a run needs until the
mean reward of three steps in a row reaches the target. Replayed and revised texts are no fresh
samples; the share of their tokens is stored too. A run that never reaches the target counts as its
whole length, which flatters it. Stored runs are not run again.
"""

import argparse
import json
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
ARTICLES = ("the", "a", "one")
NOUNS = ("keeper", "gull", "boat", "lamp", "rope", "stair", "child", "storm")
VERBS = ("waits", "turns", "sings", "falls", "burns", "sleeps", "calls", "drifts")
SMALL = ("in", "on", "under", "with", "and", "by")
RHYMES = {
    "night": ("light", "white", "sight"),
    "rain": ("train", "lane", "again"),
    "sea": ("free", "tree", "key"),
    "stone": ("alone", "bone", "home"),
}
WORDS = (*ARTICLES, *NOUNS, *VERBS, *SMALL, *(word for group in RHYMES.values() for word in group))
LENGTH = 6
PROMPTS = [(noun, rhyme) for noun in NOUNS for rhyme in RHYMES]

PER_PROMPT, PROMPTS_PER_STEP = 8, 8
LEARNING_RATE = 3e-3
TARGET, WINDOW = 0.9, 3

ARMS: dict[str, dict[str, Any]] = {
    "GRPO": {"replay_weight": 0.0, "anchor_weight": 0.0},
    "GRPO + replay": {"anchor_weight": 0.0, "replay_baseline": "split"},
    "MRPO without reflection": {},
    "MRPO": {"reflects": True},
}
"""`GRPO + replay` is like RePO (arXiv:2506.09340): its memory has advantages of its own."""


def kept(words: Sequence[str], noun: str, rhyme: str) -> dict[str, float]:
    """How far a line keeps each demand of the hidden rubric, from 0 to 1."""
    return {
        "length": max(0.0, 1 - abs(len(words) - LENGTH) / LENGTH),
        "names": float(noun in words),
        "rhymes": float(bool(words) and words[-1] in RHYMES[rhyme]),
        "begins": float(bool(words) and words[0] in ARTICLES),
        "repeats nothing": len(set(words)) / len(words) if words else 0.0,
    }


def worth(words: Sequence[str], noun: str, rhyme: str) -> float:
    """Reward of a line: the mean of its demands."""
    demands = kept(words, noun, rhyme)
    return sum(demands.values()) / len(demands)


def revised(words: Sequence[str], noun: str, rhyme: str, draw: random.Random) -> list[str]:
    """Mend the demand that a line keeps least, as a reflector would who knows the criteria.

    The mender errs: two times in five it puts any word there.
    """
    demands = kept(words, noun, rhyme)
    weakest = min(demands, key=lambda name: demands[name])
    line = list(words) or [draw.choice(WORDS)]
    right = {"names": [noun], "rhymes": RHYMES[rhyme], "begins": ARTICLES}.get(weakest, WORDS)
    word = draw.choice(list(right) if draw.random() < 0.6 else WORDS)
    if weakest == "length":
        return [*line[:1], word, *line[1:]] if len(line) < LENGTH else [*line[:2], *line[3:]]
    if weakest == "rhymes":
        return [*line[:-1], word]
    if weakest == "begins":
        return [word, *line[1:]]
    if weakest == "names":
        return [*line[:1], word, *line[2:]]
    again = next(place for place, each in enumerate(line) if line.index(each) < place)
    return [*line[:again], word, *line[again + 1 :]]


def tokenizer() -> Any:
    """A word is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "<end>", *WORDS, *RHYMES]
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", eos_token="<end>",
        padding_side="left",
    )  # fmt: skip


def model(words: Any, seed: int) -> Any:
    """A transformer of two layers, with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=32,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, bos_token_id=None,
        )
    )  # fmt: skip


def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
    """Score lines for TRL."""
    return [
        worth(text.split(), *prompt.split())
        for prompt, text in zip(prompts, completions, strict=True)
    ]


class Mending:
    """Revises poor lines; what is not better is refused."""

    def __init__(self, words: Any, seed: int) -> None:
        self.words, self.draw = words, random.Random(seed)

    def __call__(self, poor: Sequence[Any]) -> list[Any]:
        """Revise one line of each group."""
        return [self._revision(each) for each in poor]

    def _revision(self, poor: Any) -> Any:
        from quillgraph.rl.mrpo import Revision

        noun, rhyme = poor.prompt.split()
        before = poor.text.text.split()
        after = revised(before, noun, rhyme, self.draw)
        gain = worth(after, noun, rhyme) - worth(before, noun, rhyme)
        if gain < 0.02:
            return None
        ids = (*self.words.convert_tokens_to_ids(after), self.words.eos_token_id)
        value = worth(after, noun, rhyme)
        # no model wrote it, so its behaviour probability is unknown
        return Revision(
            text=" ".join(after),
            completion_ids=ids,
            logprobs=None,
            reward=value,
            parts={"reward": value},
        )


def run(arm: str, seed: int, steps: int) -> dict[str, Any]:
    """Train one arm under one seed."""
    import tempfile

    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from quillgraph.rl.mrpo import MRPOConfig, MRPOTrainer

    torch.set_num_threads(1)
    options = dict(ARMS[arm])
    reflects, words = options.pop("reflects", False), tokenizer()
    rows = [{"prompt": f"{noun} {rhyme}", "criteria_sha": "hidden"} for noun, rhyme in PROMPTS]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = MRPOTrainer(
            model=model(words, seed),
            processing_class=words,
            reward_funcs=reward,
            train_dataset=Dataset.from_list(rows),
            reflect=Mending(words, seed) if reflects else None,
            args=MRPOConfig(
                output_dir=folder, seed=seed, max_steps=steps, learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant", max_completion_length=10,
                num_generations=PER_PROMPT,
                per_device_train_batch_size=PER_PROMPT * PROMPTS_PER_STEP,
                replay_start=5, replay_start_reward=0.0, reflect_every=2, hard_gate=False,
                logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, bf16=False,
                disable_tqdm=True, gradient_checkpointing=False, **options,
            ),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    logs = [each for each in trainer.state.log_history if "reward" in each]
    curve = [round(float(each["reward"]), 4) for each in logs]
    shares = [each.get("replay/token_share", 0.0) for each in logs]
    return {
        "arm": arm, "seed": seed, "steps": steps, "samples": samples_to(curve),
        "reached": _reached(curve) is not None, "final": round(float(np.mean(curve[-10:])), 4),
        "replayed_token_share": round(float(np.mean(shares)), 4), "curve": curve,
    }  # fmt: skip


def _reached(curve: Sequence[float]) -> int | None:
    """Steps until the mean of `WINDOW` steps running reaches the target."""
    for end in range(WINDOW, len(curve) + 1):
        if np.mean(curve[end - WINDOW : end]) >= TARGET:
            return end
    return None


def samples_to(curve: Sequence[float]) -> int:
    """Fresh samples until the target, or of the whole run."""
    return (_reached(curve) or len(curve)) * PER_PROMPT * PROMPTS_PER_STEP


def interval(values: Sequence[float]) -> list[float]:
    """95 % bootstrap interval of the mean."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    return [round(float(end), 3) for end in np.percentile(draws, [2.5, 97.5])]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean samples of each arm, and paired differences from GRPO."""
    by_arm = {arm: {r["seed"]: r for r in rows if r["arm"] == arm} for arm in ARMS}
    base = by_arm["GRPO"]
    report: dict[str, Any] = {}
    for arm, runs in by_arm.items():
        samples = [run["samples"] for run in runs.values()]
        both = sorted(set(runs) & set(base))
        saved = [base[seed]["samples"] - runs[seed]["samples"] for seed in both]
        report[arm] = {
            "seeds": len(runs),
            "reached": sum(run["reached"] for run in runs.values()),
            "samples": round(float(np.mean(samples)), 1),
            "samples_95": interval(samples),
            "saved_against_grpo": round(float(np.mean(saved)), 1),
            "saved_95": interval(saved),
            "final_reward": round(float(np.mean([run["final"] for run in runs.values()])), 4),
        }
    return report


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Plot the mean learning curves, each with the range that its mean lies in."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for arm in ARMS:
        curves = np.asarray([row["curve"] for row in rows if row["arm"] == arm])
        smooth = np.apply_along_axis(np.convolve, 1, curves, np.ones(WINDOW) / WINDOW, "valid")
        samples = (np.arange(smooth.shape[1]) + WINDOW) * PER_PROMPT * PROMPTS_PER_STEP
        error = 1.96 * smooth.std(0, ddof=1) / np.sqrt(len(curves))
        (line,) = axes.plot(samples, smooth.mean(0), label=f"{arm} ({len(curves)} seeds)")
        low, high = smooth.mean(0) - error, smooth.mean(0) + error
        axes.fill_between(samples, low, high, alpha=0.15, color=line.get_color())
    axes.axhline(TARGET, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="fresh samples", ylabel="mean reward (hidden rubric)")
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run what is missing, summarise, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--results", type=Path, default=RESULTS, help="what is there is not run")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    stored = options.results / "hidden_rubric.jsonl"
    rows = [json.loads(line) for line in stored.open()] if stored.exists() else []
    finished = {(row["arm"], row["seed"]) for row in rows if row["steps"] == options.steps}
    for seed in range(options.seeds):
        for arm in ARMS:
            if (arm, seed) in finished:
                continue
            rows.append(run(arm, seed, options.steps))
            with stored.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(f"{arm}, seed {seed}: {rows[-1]['samples']} samples, {rows[-1]['final']}")
    rows = [row for row in rows if row["steps"] == options.steps]
    report = summary(rows)
    print(json.dumps(report, indent=1))
    (options.results / "hidden_rubric.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(rows, options.results / "hidden_rubric.png")


if __name__ == "__main__":
    main()
