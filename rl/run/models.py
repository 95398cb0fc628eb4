"""The models of a run: engine and judges, and the graph of its rollouts."""

from __future__ import annotations

from quillgraph.agents.judges import Judge, PromptedJudge, is_scorer, trained_judge
from quillgraph.agents.role import Role
from quillgraph.backends import BackendSpec, connect, require
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.weights import resolve
from quillgraph.rl.config.run import TrainConfig
from quillgraph.rl.processes import Notify
from quillgraph.rl.rollouts.graph import RolloutGraph
from quillgraph.rl.run.collection import judge_or_code


def judges(config: TrainConfig) -> tuple[ChatBackend | None, Judge | None]:
    """The chat model of the judge, if there is one, and the judge itself."""
    spec = config.rewards.judge
    if spec is not None and is_scorer(spec):
        return None, trained_judge(spec)
    chat = judge_of(spec)
    return chat, _prompted(chat, config)


def judge_of(spec: str | None) -> ChatBackend | None:
    """Connect to the chat model of a judge; None where none is named.

    Raises:
        ConfigError: If it cannot judge.
    """
    if spec is None:
        return None
    chat = connect(spec)
    require(chat, "judge", "json_schema")
    return chat


def _prompted(chat: ChatBackend | None, config: TrainConfig) -> Judge | None:
    """The judge on a chat model; None where there is no model and only code checks."""
    if chat is None:
        return None
    return PromptedJudge((Role("judge", chat, config.seed),), config.rewards.samples)


def engine_of(config: TrainConfig) -> ChatBackend | None:
    """Connect to the engine of the rollouts; None uses the trainer's own generation.

    Raises:
        ConfigError: If the engine lacks what training needs.
    """
    stage = config.rl
    if stage is None or not stage.has_engine:
        return None
    if config.model.lora is None:
        raise ConfigError(
            "the rollouts get the policy as a LoRA adapter, and model.lora is null; set it, or "
            "leave rl.rollouts, rl.graph and rl.lessons out"
        )
    engine = connect(stage.rollouts or f"transformers:{config.model.name}")
    require(engine, "rollouts", "token_ids", "logprobs", "adapters")
    return engine


def tell_of_another_writer(config: TrainConfig, engine: ChatBackend | None, tell: Notify) -> None:
    """Warn if the engine's weights are not the policy's, judging by their names."""
    spec = config.rl.rollouts if config.rl and config.rl.rollouts else ""
    names_weights = spec.startswith(("vllm:", "vllm-server:", "transformers:"))
    if (
        engine is None or not names_weights or BackendSpec.parse(spec).base_url
    ):  # a server has its own model names
        return
    theirs, ours = resolve(engine.model), resolve(config.model.name)
    if theirs != ours:
        tell(
            f"warning: {theirs} writes the rollouts, but the policy is {ours}: an adapter fits "
            "other weights of the same shape, and then trains on texts of another model"
        )


def rollout_graph(
    config: TrainConfig, engine: ChatBackend | None, judge: Judge | None
) -> RolloutGraph | None:
    """Find the graph of the rollouts, and check that the engine can play its roles."""
    if config.rl is None or config.rl.graph is None or engine is None:
        return None
    if config.rl.credit != "uniform" and judge is None:
        raise ConfigError(
            f"rl.credit: {config.rl.credit} needs the verdicts of a judge, and rewards.judge is "
            "not set; set it, or credit: uniform"
        )
    if config.rl.credit == "evidence" and is_scorer(config.rewards.judge or ""):
        raise ConfigError(
            "rl.credit: evidence needs the sentences that a judge cites, and the scorer "
            f"{config.rewards.judge} cites none; take a judge that writes, or another credit"
        )
    graph = RolloutGraph.of(
        config.rl,
        judge=judge_or_code(judge),
        text_tokens=config.text_tokens,
        embeddings=config.criteria.embeddings,
    )
    graph.check(engine)
    return graph
