"""The SFT stage, before RL: imitate the best texts of episodes (`ALGORITHM.md` 6.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from pydantic import BaseModel
from trl import SFTTrainer

from quillgraph.agents.role import Role
from quillgraph.backends import connect
from quillgraph.backends.calls import Budget
from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.graphs.episodes import WrittenEpisode
from quillgraph.graphs.prebuilt import Workshop
from quillgraph.rl.config.episodes import (
    KINDS,
    Target,
    is_bare,
    load_episodes,
    preferences,
    successes,
    targets,
)
from quillgraph.rl.config.stages import SftConfig
from quillgraph.rl.cpu_head import score_on_cpu
from quillgraph.rl.processes import in_turn, processes
from quillgraph.rl.run.arguments import sft_arguments
from quillgraph.rl.run.collection import collect_episodes, judge_or_code
from quillgraph.rl.run.run import Run
from quillgraph.rl.stages.trainer import checkpoints_of, run_trainer, save_policy


def sft_stage(run: Run, *, resume: bool) -> None:
    """Imitate the best texts of episodes (`ALGORITHM.md` 6.5, stage 1).

    Raises:
        ConfigError: If no text of an episode improved.
    """
    config = run.config.sft
    assert config is not None
    examples = _targets(run, config)
    checkpoints = checkpoints_of(run, "sft", [])
    args = sft_arguments(run.config, checkpoints.scratch, run.policy.window)
    trainer = SFTTrainer(
        model=run.policy.model,
        args=args,
        train_dataset=Dataset.from_list([target.row() for target in examples]),
        processing_class=run.policy.tokenizer,
    )
    score_on_cpu(trainer)
    run_trainer(run, trainer, "sft", checkpoints, dict, resume=resume)
    save_policy(run, trainer, run.folder / "sft" / "adapter")


def _targets(run: Run, config: SftConfig) -> tuple[Target, ...]:
    folder, prompt = run.folder / "sft", run.config.data.prompt
    with in_turn():
        episodes = load_episodes(config.episodes) if config.episodes else _collected(run, config)
    if strange := sum(not is_bare(each, each.attempts[each.best]) for each in episodes):
        run.tell(
            f"left out: {strange} of {len(episodes)} episodes whose text holds thinking or words "
            "about it, which its reward is of as well"
        )
    examples = targets(
        successes(episodes, config.top_share), prompt=prompt, mix=config.mix, seed=run.config.seed
    )
    counts = {kind: sum(t.kind == kind for t in examples) for kind in KINDS}
    run.tell(f"{len(episodes)} episodes give {counts} targets")
    if not examples:
        raise ConfigError(
            f"nothing to imitate: in none of {len(episodes)} episodes did a text improve; set "
            "sft.episodes of a stronger writer, or raise sft.collect.texts"
        )
    if processes().is_main_process:
        _write(folder / "targets.jsonl", examples)
        _write(folder / "preferences.jsonl", preferences(episodes, prompt=prompt))
    return examples


def _collected(run: Run, config: SftConfig) -> tuple[WrittenEpisode, ...]:
    """The episodes that this run collected before, or new ones."""
    file = run.folder / "sft" / "episodes.jsonl"
    if file.exists():
        return load_episodes([file])
    run.tell(f"collecting episodes of {len(run.requests.train)} requests")
    episodes = asyncio.run(_collect(run, config))
    _write(file, episodes)
    return episodes


def _write(path: Path, values: Sequence[BaseModel]) -> None:
    """Write values as JSON lines, whole or not at all."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(f"{each.model_dump_json()}\n" for each in values), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


async def _collect(run: Run, config: SftConfig) -> tuple[WrittenEpisode, ...]:
    assert config.collect is not None
    own = run.engine if config.collect.backend is None else None
    spec = config.collect.backend or f"transformers:{run.config.model.name}"
    writer, budget = own or connect(spec), Budget()

    def role(name: str) -> Role:
        return Role(name, writer, run.config.seed, budget)

    workshop = Workshop(
        writer=role("writer"),
        judge=judge_or_code(run.scorer.judge),
        reflector=role("reflector"),
        consolidator=role("consolidator"),
        rounds=config.collect.texts - 1,
        text_tokens=run.config.text_tokens,
    )
    try:
        if config.collect.backend is None and run.config.model.adapter is not None:
            await writer.load_adapter(run.config.model.adapter, "start")
        return await collect_episodes(
            run.requests.train, run.sets, workshop, config.collect, run.tell
        )
    finally:
        if own is None:
            await writer.aclose()
