"""Preparation of a training run: read, check and generate everything before training."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import checked, judged
from quillgraph.backends import connect, connect_embeddings, default_backend
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError
from quillgraph.graphs import cast
from quillgraph.graphs.episodes import attribute_at
from quillgraph.graphs.study import Study
from quillgraph.rl.columns import OPENED, key_of
from quillgraph.rl.config.criteria import find_sets, shas
from quillgraph.rl.config.requests import Requests, check_lengths, prompt_of, read_requests
from quillgraph.rl.config.run import TrainConfig
from quillgraph.rl.processes import Notify, in_turn
from quillgraph.rl.rewards.rules import RewardRules
from quillgraph.rl.rewards.scorer import JudgementCache, JudgeQueue
from quillgraph.rl.rollouts.graph import RolloutGraph
from quillgraph.rl.rollouts.lessons import LessonsFor, find_lessons
from quillgraph.rl.run.models import (
    engine_of,
    judge_of,
    judges,
    rollout_graph,
    tell_of_another_writer,
)
from quillgraph.rl.run.policy import TrainablePolicy, load_policy


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that the stages of a run share."""

    config: TrainConfig
    folder: Path
    requests: Requests
    sets: dict[str, CriteriaSet]
    policy: TrainablePolicy
    scorer: JudgeQueue
    judge: ChatBackend | None
    """Chat model of the judge; None without a judge, or with a trained scorer."""
    pairwise: ChatBackend | None
    """Chat model that compares texts without criteria, for the guards."""
    engine: ChatBackend | None
    """Writes the texts of the rollouts; None uses the trainer's own generation."""
    graph: RolloutGraph | None
    """Graph whose episodes give the texts; None calls the engine once per text."""
    lessons: LessonsFor
    """Lessons for the prompts of rollouts; empty in a run without lessons."""
    tell: Notify

    @property
    def facts(self) -> dict[str, Any]:
        """What must be the same for a run to resume."""
        facts = {
            "criteria": shas(self.sets),
            "base": self.policy.base,
            "seed": self.config.seed,
            "judge": self.scorer.judge.name if self.scorer.judge else "code",
        }
        if self.lessons:
            facts["lessons"] = {
                key: [each.id for each in some] for key, some in self.lessons.items()
            }
        return facts

    @property
    def tasks(self) -> dict[str, WritingTask]:
        """Key of a training prompt to its task."""
        kind = self.config.data.prompt
        return {key_of(prompt_of(task, kind)): task for task in self.requests.train}

    @property
    def rules(self) -> RewardRules:
        """How judgements become rewards, under the run's seed."""
        return self.config.rewards.rules.model_copy(update={"seed": self.config.seed})

    def rows(self) -> list[dict[str, Any]]:
        """The training set of the reinforcement stage, as TRL reads it."""
        opened = {OPENED: True} if self.policy.opens_thinking else {}
        return [
            {
                "prompt": prompt_of(task, self.config.data.prompt),
                "request": task.request,
                "criteria_sha": self.sets[task.request_hash].sha256,
                **opened,
            }
            for task in self.requests.train
        ]

    async def aclose(self) -> None:
        """Close the models and files of the run."""
        self.scorer.close()
        self.scorer.cache.close()
        for chat in filter(None, (self.judge, self.pairwise, self.engine)):
            await chat.aclose()
        if self.graph is not None:
            await self.graph.aclose()


def prepare(config: TrainConfig, folder: Path, tell: Notify) -> Run:
    """Read, check and generate everything that training needs.

    Raises:
        ConfigError: If something in the configuration does not exist or does not fit.
        InputError: If the requests or the criteria cannot be read.
    """
    requests = read_requests(config.data.prompts)
    for name in config.rewards.functions:
        reward_function_of(name)
    for name in config.rl.terms if config.rl else ():
        function_of(name, "rl.terms")
    engine = engine_of(config)
    judge, by = judges(config)
    pairwise = judge_of(config.guards.pairwise_judge)
    graph = rollout_graph(config, engine, by)
    _check_rest(config, requests, folder)
    tell_of_another_writer(config, engine, tell)
    policy = load_policy(config.model, seed=config.seed)
    with in_turn():
        sets = asyncio.run(_find(config, requests, folder, tell))
    _refuse_unrewarded(requests, sets, has_judge=by is not None)
    with in_turn():
        lessons = _lessons(config, requests, sets, folder)
    run = Run(
        config=config,
        folder=folder,
        requests=requests,
        sets=sets,
        policy=policy,
        scorer=JudgeQueue(by, config.seed, JudgementCache(folder / "judgements.sqlite")),
        judge=judge,
        pairwise=pairwise,
        engine=engine,
        graph=graph,
        lessons=lessons,
        tell=tell,
    )
    _check_lengths(run)
    return run


def _check_rest(config: TrainConfig, requests: Requests, folder: Path) -> None:
    """Check what needs no model."""
    if config.guards.pairwise_judge is not None and not requests.held_out:
        raise ConfigError(
            "guards.pairwise_judge compares texts for held-out requests, and data.prompts has none "
            "with split held_out"
        )
    # after all quick checks, as the trainers take seconds to import
    from quillgraph.rl.run.arguments import check_arguments

    check_arguments(config, folder, len(requests.train))


def _check_lengths(run: Run) -> None:
    """Check that each prompt, with any lessons, fits the context window with its completion."""
    prompts = [
        prompt_of(task, run.config.data.prompt, run.lessons.get(task.request_hash, ()))
        for task in run.requests.all
    ]
    ids, room = [run.policy.ids(prompt) for prompt in prompts], run.config.text_tokens
    check_lengths(run.requests.all, ids, room=room, window=run.policy.window)
    if run.engine is not None:  # the policy itself writes the held-out texts
        tasks = run.requests.train
        window = run.engine.capabilities.context_tokens
        check_lengths(tasks, ids[: len(tasks)], room=room, window=window, reader="the engine")


def _lessons(
    config: TrainConfig, requests: Requests, sets: dict[str, CriteriaSet], folder: Path
) -> LessonsFor:
    """The lessons of a run; empty where the configuration has none."""
    if config.rl is None or config.rl.lessons is None:
        return {}
    return find_lessons(
        config.rl.lessons,
        requests.train,
        sets,
        file=folder / "lessons.json",
        embeddings=config.criteria.embeddings,
    )


def function_of(name: str, option: str) -> Callable[..., Any]:
    """Find a function of the user's that a configuration names.

    Args:
        name: `module:function`, importable from the present folder, or `file.py:function`.
        option: Where the configuration names it, for messages.

    Raises:
        ConfigError: If there is none.
    """
    if ":" not in name:
        raise ConfigError(f"{option}: expected module:function or file.py:function, got {name!r}")
    function: Callable[..., Any] = attribute_at(name, option)
    if not callable(function):
        kind = type(function).__name__
        raise ConfigError(f"{option}: expected a function at {name!r}, got {kind}")
    return function


def reward_function_of(name: str) -> Callable[..., Any]:
    """Find a reward function, and check that it accepts the arguments that TRL passes.

    Raises:
        ConfigError: If there is none, or it does not accept all columns.
    """
    function = function_of(name, "rewards.functions")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function  # it is not written in Python, and its signature is unknown
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        raise ConfigError(
            f"rewards.functions: {name!r} has no parameter **columns: a reward function gets "
            "`prompts`, `completions` and each column of the data set by name; take what you need "
            "and end with **columns"
        )
    return function


async def _find(
    config: TrainConfig, requests: Requests, folder: Path, tell: Notify
) -> dict[str, CriteriaSet]:
    """Find the criteria of all requests, with a model that is closed before training."""
    options, model, study = config.criteria, None, None
    if options.study == "full":
        model = connect(options.backend or default_backend()[0])
        embeddings = connect_embeddings(options.embeddings)
        study = cast(Study, model, embeddings=embeddings, seed=config.seed, drafts=options.drafts)
    try:
        return await find_sets(
            requests.all, study=study, folder=folder / "criteria", cache=options.cache, tell=tell
        )
    finally:
        if model is not None:
            await model.aclose()


def _refuse_unrewarded(
    requests: Requests, sets: dict[str, CriteriaSet], *, has_judge: bool
) -> None:
    for task in requests.all:
        criteria = sets[task.request_hash].criteria
        if not checked(criteria) and not (has_judge and judged(criteria)):
            raise ConfigError(
                f"nothing to reward: the request {task.request[:60]!r} makes no demand that code "
                "can check, and rewards.judge is not set; set it, or leave the request out of "
                "data.prompts"
            )
