"""Rollouts with lessons, from a memory's file to the update."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.memory import Lesson
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.graphs.memory import Memory
from quillgraph.rl.columns import key_of
from quillgraph.rl.config.run import load_config

pytest.importorskip("trl")

Configure = Callable[..., Path]


async def remember(file: Path) -> None:
    lesson = Lesson(
        id="l1", condition="When a story is short", strategy="name one thing.", polarity="do",
        criteria=("Thing",), genre="story", language="en",
    )  # fmt: skip
    async with Memory.open(file, LexicalEmbeddings()) as memory:
        await memory.keep_lessons([lesson], "story")


@pytest.fixture
def configure(short_run: Configure, tmp_path: Path) -> Configure:
    """A run of three steps in which half of the texts may have lessons."""
    asyncio.run(remember(tmp_path / "memory.sqlite"))

    def make(options: dict[str, Any] | None = None, **rl: Any) -> Path:
        lessons = {"memory": "memory.sqlite", "share": 0.5}
        return short_run({"max_steps": 3, **(options or {})}, **{"lessons": lessons, **rl})

    return make


def trained(file: Path, out: Path, *, resume: bool = False) -> None:
    from quillgraph.rl.stages.pipeline import train

    train(load_config(file), out, resume=resume, tell=lambda _: None)


def steps(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Each step with the rows of the present episodes beside TRL's batch."""
    from quillgraph.rl.mrpo import trainer as mrpo

    steps_seen: list[tuple[Any, Any]] = []
    inner = mrpo.own_rows  # type: ignore[attr-defined]

    def watch(trainer: Any, step: Any, normaliser: Any) -> Any:
        before = step.out["advantages"].clone()
        rows = inner(trainer, step, normaliser)
        steps_seen.append((step, (before, rows)))
        return rows

    monkeypatch.setattr("quillgraph.rl.mrpo.trainer.own_rows", watch)
    return steps_seen


def test_some_texts_are_written_with_lessons_and_some_of_these_are_learned_from_without(
    configure: Configure, tmp_path: Path, seen: list[Any]
) -> None:
    from transformers import AutoTokenizer

    out, tokenizer = tmp_path / "out", AutoTokenizer.from_pretrained(tmp_path / "tiny")
    trained(configure(), out)
    metrics = steps(out)
    assert len(seen) == 3
    for (step, (before, rows)), row in zip(seen, metrics, strict=True):
        trajectories = [each["trajectory"] for each in step.inputs]
        lessoned = [number for number, each in enumerate(trajectories) if each.lessons]
        assert row["lessons/share"] == len(lessoned) / 8
        assert all(each.lessons in ((), ("l1",)) for each in trajectories)
        # a text that was written with lessons has them in the prompt that TRL sees
        bare = [
            tokenizer.apply_chat_template(
                each["prompt"], add_generation_prompt=True, return_dict=False
            )
            for each in step.inputs
        ]
        for number, prompt in enumerate(bare):
            assert (step.prompt_ids(number) == tuple(prompt)) == (number not in lessoned)
        # those that are learned from without them have no advantage there, and a row of their own
        removed = [n for n in lessoned if before[n] != 0 and step.out["advantages"][n] == 0]
        assert [each.advantage for each in rows] == before[removed].tolist()
        assert [each.prompt_ids for each in rows] == [tuple(bare[n]) for n in removed]
        assert [each.behaviour for each in rows] == [
            trajectories[n].leading.logprobs for n in removed
        ]
        assert {each.kind for each in rows} <= {"lessoned"}
        assert all(each.weight == 1 / (8 * 8) for each in rows)
    assert sum(row["lessons/share"] for row in metrics) > 0
    assert sum(row["lessons/removed"] for row in metrics) > 0
    assert any("lessons/ratio_mean" in row for row in metrics)


@pytest.mark.parametrize(("share", "removed"), [(0.0, False), (1.0, True)])
def test_how_many_lessons_are_taken_away_is_an_option(
    configure: Configure, tmp_path: Path, seen: list[Any], share: float, removed: bool
) -> None:
    out = tmp_path / "out"
    trained(configure(options={"lessons_removed": share, "max_steps": 1}), out)
    (metrics,), ((step, (_, rows)),) = steps(out), seen
    lessoned = sum(bool(each["trajectory"].lessons) for each in step.inputs)
    assert metrics["lessons/removed"] == (lessoned if removed else 0)
    assert bool(rows) == removed


def test_what_was_written_with_lessons_is_remembered_as_reflective_under_the_bare_prompt(
    configure: Configure, tmp_path: Path, seen: list[Any]
) -> None:
    out = tmp_path / "out"
    trained(configure(options={"max_steps": 6}), out)
    state = json.loads((out / "checkpoints/rl/step-000006/memory.json").read_text())
    entries = state["memory"]["entries"]
    bare = {
        key_of(each["prompt"]): list(step.prompt_ids(number))
        for step, _ in seen
        for number, each in enumerate(step.inputs)
        if not each["trajectory"].lessons
    }
    assert {each["context"] for each in entries} == {"bare", "reflective"}
    for each in entries:
        assert each["prompt_ids"] == bare[each["prompt"]]


def test_a_run_that_goes_on_has_the_lessons_that_it_began_with(
    configure: Configure, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(configure(), whole)
    trained(configure(options={"max_steps": 2}), broken)
    # the memory goes on learning, or is gone
    (tmp_path / "memory.sqlite").unlink()
    trained(configure(), broken, resume=True)
    names = ("loss", "grad_norm", "lessons/share")
    curves = [[tuple(row[name] for name in names) for row in steps(out)] for out in (whole, broken)]
    for one, other in zip(*curves, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize(
    ("rl", "kind", "message"),
    [
        ({"lessons": {"memory": "gone.sqlite"}}, ConfigError, "no file .*gone.sqlite"),
        ({"lessons": {"memory": "m", "share": 0}}, ConfigError, "rl.lessons.share: .*greater than"),
        ({"algorithm": "grpo"}, ConfigError, "with rl.lessons set algorithm: mrpo"),
        ({"graph": "best_of_n"}, ConfigError, "leave rl.lessons or rl.graph out"),
        ({"options": {"lessons_removed": 1.5}}, ConfigError, "0 <= lessons_removed <= 1"),
    ],
)
def test_lessons_that_cannot_be_had_are_refused(
    configure: Configure, tmp_path: Path, rl: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        trained(configure(**rl), tmp_path / "out")


def test_a_memory_without_a_fitting_lesson_is_refused(configure: Configure, tmp_path: Path) -> None:
    async def forget() -> None:
        async with Memory.open(tmp_path / "memory.sqlite", LexicalEmbeddings()) as memory:
            await memory.forget("l1")

    asyncio.run(forget())
    with pytest.raises(ConfigError, match="has no lesson on a criterion of any of 3 requests"):
        trained(configure(), tmp_path / "out")


def test_lessons_of_a_run_that_are_damaged_are_not_replaced_in_silence(
    configure: Configure, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    trained(configure(options={"max_steps": 1}), out)
    (out / "lessons.json").write_text("[")
    with pytest.raises(InputError, match="cannot read the lessons of the run"):
        trained(configure(), out, resume=True)
