"""The real trainer on a real engine: transformers in this process, with the tiny model's folder."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import ConfigError, Refused, ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.transformers.chat import TransformersChat
from quillgraph.rl.trajectories.rows import Trajectory

pytest.importorskip("trl")

Make = Callable[..., Any]


class Frail(TransformersChat):
    """The real engine, with calls that can be made to fail."""

    deaths: int = 0
    refusals: int = 0
    starts: int = 0
    calls: int = 0
    free: int = 0
    """Calls that are answered before `updating` is set; all of them where it is None."""
    updating: Any = None

    async def _complete(self, request: ChatRequest) -> Completion:
        self.calls += 1
        if self.updating is not None and self.calls > self.free:
            assert await asyncio.to_thread(self.updating.wait, 60)
        if self.deaths:
            self.deaths -= 1
            raise ServerFailed("the engine died")
        if self.refusals:
            self.refusals -= 1
            raise Refused("not this one")
        return await super()._complete(request)

    async def start(self) -> None:
        self.starts += 1
        await super().start()


def variety(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward: number of different words of a text."""
    return [len(set(each[0]["content"].split())) / 8 for each in completions]


@pytest.fixture
def engine(tiny_folder: Path) -> Frail:
    return Frail(model=str(tiny_folder), device="cpu", max_concurrency=8)


@pytest.fixture
def trainer(
    tiny_folder: Path, tokenizer: Any, prompts: Any, options: dict[str, Any], engine: Frail
) -> Make:
    from peft import LoraConfig

    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.trainer import MRPOTrainer
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    def make(*, lora: bool = True, rollouts: Any = None, **parts: Any) -> Any:
        settings = {"replay_start": 0, "replay_start_reward": 0.0, **options, **parts}
        folder = Path(options["output_dir"]) / "adapters"
        return MRPOTrainer(
            model=str(tiny_folder),
            reward_funcs=[variety],
            args=MRPOConfig(**settings),
            train_dataset=prompts,
            processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear") if lora else None,
            rollout_func=rollouts or Rollouts(engine, folder, one_call),
        )

    return make


def _logged(trainer: Any, name: str) -> list[float]:
    return [each[name] for each in trainer.state.log_history if name in each]


def test_each_step_samples_from_the_policy_that_it_updates(trainer: Make) -> None:
    run = trainer(max_steps=4, learning_rate=1e-1)
    seen: list[Any] = []
    inner = run._set_against_memory

    def watch(inputs: Any, out: Any) -> None:
        import torch

        ids = torch.cat([out["prompt_ids"], out["completion_ids"]], 1)
        mask = torch.cat([out["prompt_mask"], out["completion_mask"]], 1)
        width = out["completion_ids"].size(1)
        with torch.no_grad():
            ours, _, _ = run._get_per_token_logps_and_entropies(run.model, ids, mask, width)
        gap = (ours - out["old_per_token_logps"]).abs() * out["completion_mask"]
        seen.append((gap.max().item(), out["old_per_token_logps"][0, 0].item()))
        inner(inputs, out)

    run._set_against_memory = watch
    run.train()
    # the engine's log-probs are those of the trainer's weights, before every step; and as the
    # weights change, a swap left out would show
    assert len(seen) == 4
    assert max(gap for gap, _ in seen) < 1e-4
    assert len({round(first, 3) for _, first in seen}) > 1
    assert _logged(run, "rollouts/policy_age") == [0.0] * 4
    assert all(entry.logprobs is not None for entry in run.memory)


def test_adapters_may_lag_by_fewer_steps_than_they_are_swapped(
    trainer: Make, engine: Frail, tmp_path: Path
) -> None:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    lazy = Rollouts(engine, tmp_path / "lazy", one_call, sync_every=3)
    run = trainer(max_steps=5, rollouts=lazy, learning_rate=1e-1)
    run.train()
    assert _logged(run, "rollouts/policy_age") == [0, 1, 2, 0, 1]
    assert sorted(each.name for each in (tmp_path / "lazy").iterdir()) == ["step-0", "step-3"]


def test_judging_begins_while_other_texts_are_being_written(
    trainer: Make, engine: Frail, tmp_path: Path
) -> None:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    waiting: list[int] = []
    begun: list[Trajectory] = []
    written = 0

    async def counted(prompt: Any, model: Any, sampling: Any) -> Trajectory:
        nonlocal written
        trajectory = await one_call(prompt, model, sampling)
        written += 1
        return trajectory

    def begin(prompt: Any, trajectory: Trajectory) -> None:
        begun.append(trajectory)
        waiting.append(8 - written)

    run = trainer(
        max_steps=1, rollouts=Rollouts(engine, tmp_path / "adapters", counted, begin=begin)
    )
    run.train()
    assert len(begun) == 8
    assert max(waiting) > 0  # somebody was still writing when the first judgement could begin


def test_a_text_that_cannot_be_had_is_left_out_and_counted(trainer: Make, engine: Frail) -> None:
    engine.refusals = 2
    run = trainer(max_steps=1)
    run.train()
    assert _logged(run, "rollouts/excluded") == [2.0]
    assert _logged(run, "rewards/missing") == [2.0]
    assert engine.starts == 0


def test_an_engine_that_dies_is_started_again_once(trainer: Make, engine: Frail) -> None:
    engine.deaths = 1
    run = trainer(max_steps=2)
    run.train()
    assert engine.starts == 1
    assert _logged(run, "rollouts/restarts") == [1, 1]
    assert _logged(run, "rollouts/excluded") == [0, 0]
    assert run.state.global_step == 2


def test_an_engine_that_dies_twice_ends_the_run_with_a_checkpoint(
    trainer: Make, engine: Frail, options: dict[str, Any]
) -> None:
    run = trainer(max_steps=6)
    inner = run.rollout_func

    def dying(prompts: Any, trainer: Any) -> Any:
        if trainer.state.global_step == 2:
            engine.deaths = 100  # dead after the restart too
        return inner(prompts, trainer)

    run.rollout_func = dying
    with pytest.raises(ServerFailed, match=r"died again .* step 2 is saved"):
        run.train()
    assert (Path(options["output_dir"]) / "checkpoint-2" / "adapter_model.safetensors").exists()


def test_where_processes_share_an_engine_the_first_loads_for_all(
    engine: Frail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    done: list[str] = []

    async def load(self: Any, path: Path, version: str) -> None:
        done.append(f"load {version}")

    monkeypatch.setattr(Frail, "is_shared", True)
    monkeypatch.setattr(Frail, "load_adapter", load)
    monkeypatch.setattr(Frail, "take_up_adapter", lambda self, version: done.append(version))
    for leads in (True, False):
        them = SimpleNamespace(is_main_process=leads, wait_for_everyone=lambda: None)
        trainer = SimpleNamespace(accelerator=them, state=SimpleNamespace(global_step=3))
        Rollouts(engine, tmp_path, one_call)._hand_over(trainer, tmp_path, 3)
    assert done == ["load step-3", "step-3"]


def test_the_seeds_of_a_step_follow_from_the_run_alone(trainer: Make) -> None:
    first = trainer(max_steps=2)
    first.train()
    second = trainer(max_steps=2)
    second.train()
    assert [each.completion_ids for each in first.memory] == [
        each.completion_ids for each in second.memory
    ]


class Writing(TypedDict):
    request: str
    draft: str
    text: str


@dataclass
class Cast:
    writer: Any


async def draft(state: Writing, runtime: Runtime[Cast]) -> dict[str, str]:
    reply = await runtime.context.writer.ainvoke(state["request"], max_tokens=6, temperature=1.0)
    return {"draft": str(reply.content) or "sun"}


async def revise(state: Writing, runtime: Runtime[Cast]) -> dict[str, str]:
    reply = await runtime.context.writer.ainvoke(state["draft"], max_tokens=8, temperature=1.0)
    return {"text": str(reply.content)}


def test_further_calls_of_an_episode_ride_along_with_its_text(
    trainer: Make, engine: Frail, tmp_path: Path
) -> None:
    from quillgraph.graphs.episodes import EpisodeSource, episode_source
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import graph_run

    graph = StateGraph(Writing, context_schema=Cast)
    graph.add_node("draft", draft)
    graph.add_node("revise", revise)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "revise")

    def source(policy: Any, frozen: Any) -> EpisodeSource:
        return episode_source(graph, roles={"writer": policy}, trainable=["writer"])

    run = trainer(max_steps=2, rollouts=Rollouts(engine, tmp_path / "adapters", graph_run(source)))
    riders: list[tuple[int, float]] = []
    inner = run._side_term

    def watch(model: Any, batch: Any) -> Any:
        term = inner(model, batch)
        riders.append((int(batch.is_fresh_B.sum()), term.grad_fn is not None))
        return term

    run._side_term = watch
    run.train()
    # 8 episodes of two calls each step: the drafts ride, but for those without an advantage
    assert _logged(run, "rollouts/calls") == [16, 16]
    assert len(riders) == 2
    assert all(4 <= count <= 8 and learns for count, learns in riders)


def test_a_backend_that_cannot_train_is_refused(tmp_path: Path) -> None:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    script = ScriptedChat(reply=lambda request: "words")
    with pytest.raises(ConfigError, match=r"'rollouts' needs .*adapters"):
        Rollouts(script, tmp_path, one_call)


def test_a_policy_without_an_adapter_cannot_reach_the_engine(trainer: Make) -> None:
    run = trainer(lora=False, max_steps=1)
    with pytest.raises(ConfigError, match="peft_config=LoraConfig"):
        run.train()


def test_two_engines_at_once_are_refused(trainer: Make) -> None:
    run = trainer(max_steps=1)
    run.use_vllm = True  # as an option it would start the engine when the trainer is made
    with pytest.raises(ConfigError, match="use_vllm starts TRL's own engine"):
        run.rollout_func(["sun"], run)


@pytest.fixture
def ahead(engine: Frail, tmp_path: Path) -> Any:
    """Rollouts that are written one step ahead."""
    from quillgraph.rl.rollouts.ahead import PromptOrder
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    return Rollouts(engine, tmp_path / "ahead", one_call, ahead=PromptOrder())


def test_the_next_texts_are_written_while_the_present_ones_are_learned_from(
    trainer: Make, engine: Frail, ahead: Any
) -> None:
    # the first 8 calls are those of step 0; whatever comes next waits until its update has begun
    engine.free, engine.updating = 8, threading.Event()
    run = trainer(max_steps=2, rollouts=ahead)
    inner = run.training_step

    def training_step(*arguments: Any, **options: Any) -> Any:
        engine.updating.set()
        return inner(*arguments, **options)

    run.training_step = training_step
    run.train()
    assert _logged(run, "rollouts/policy_age") == [0, 1]
    assert engine.calls == 16  # and nothing is written for a step that does not come


def test_texts_that_were_written_ahead_are_of_the_same_prompts_and_one_step_old(
    trainer: Make, ahead: Any
) -> None:
    # 8 prompts, 2 a step: the fifth step is of the second epoch
    plain = trainer(max_steps=6)
    plain.train()
    run = trainer(max_steps=6, rollouts=ahead)
    run.train()
    assert _logged(run, "rollouts/policy_age") == [0, 1, 1, 1, 1, 1]
    assert [each.prompts for each in run.ledger] == [each.prompts for each in plain.ledger]


def test_ratios_of_texts_written_ahead_are_to_the_policy_that_wrote_them(
    trainer: Make, ahead: Any
) -> None:
    import torch

    run = trainer(max_steps=3, learning_rate=1e-1, rollouts=ahead)
    policies: list[dict[str, Any]] = []
    gaps: list[tuple[float, float]] = []
    inner = run._compute_loss

    def logps(inputs: Any, weights: dict[str, Any]) -> Any:
        named = {name: each for name, each in run.model.named_parameters() if "lora" in name}
        kept = {name: each.detach().clone() for name, each in named.items()}
        with torch.no_grad():
            for name, each in named.items():
                each.copy_(weights[name])
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
            mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
            width = inputs["completion_ids"].size(1)
            logps_BT, _, _ = run._get_per_token_logps_and_entropies(run.model, ids, mask, width)
            for name, each in named.items():
                each.copy_(kept[name])
        return logps_BT

    def watch(model: Any, inputs: Any) -> Any:
        now = {n: p.detach().clone() for n, p in run.model.named_parameters() if "lora" in n}
        policies.append(now)
        wrote = policies[max(0, len(policies) - 2)]
        old, mask = inputs["old_per_token_logps"], inputs["completion_mask"]
        gaps.append(
            tuple(((logps(inputs, each) - old).abs() * mask).max().item() for each in (wrote, now))
        )
        return inner(model, inputs)

    run._compute_loss = watch
    run.train()
    # the denominator is the policy of the step before, exactly; the present one is another
    assert len(gaps) == 3
    assert all(before < 1e-4 for before, _ in gaps)
    assert all(present > 1e-3 for _, present in gaps[1:])


def test_texts_of_other_prompts_than_were_begun_are_never_learned_from(
    trainer: Make, ahead: Any
) -> None:
    order = ahead.ahead
    ahead.ahead = lambda trainer, step: order(trainer, step + (step == 2))
    run = trainer(max_steps=4, rollouts=ahead)
    run.train()
    plain = trainer(max_steps=4)
    plain.train()
    assert _logged(run, "rollouts/policy_age") == [0, 1, 0, 1]
    assert [each.prompts for each in run.ledger] == [each.prompts for each in plain.ledger]


def test_an_engine_that_dies_while_it_writes_ahead_is_started_again(
    trainer: Make, engine: Frail, ahead: Any
) -> None:
    run = trainer(max_steps=3, rollouts=ahead)
    inner = run.training_step

    def training_step(*arguments: Any, **options: Any) -> Any:
        engine.deaths = int(run.state.global_step == 0)
        engine.updating.set()
        return inner(*arguments, **options)

    engine.free, engine.updating = 8, threading.Event()
    run.training_step = training_step
    run.train()
    assert engine.starts == 1
    assert _logged(run, "rollouts/excluded") == [0, 0, 0]
    assert _logged(run, "rollouts/policy_age") == [0, 1, 1]


def test_what_is_ahead_is_not_to_lag_any_further(engine: Frail, tmp_path: Path) -> None:
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    with pytest.raises(ConfigError, match="leave sync_every at 1, got 2"):
        Rollouts(engine, tmp_path, one_call, sync_every=2, ahead=lambda trainer, step: [])
