"""Two kinds of rollout: one call of the policy, or a whole graph."""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests import writing_task
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.messages import trace_of
from quillgraph.graphs.episodes import EpisodeSource, Start, reply_of, run_graph
from quillgraph.rl.columns import key_of, request_of
from quillgraph.rl.rollouts.sampling import Player, Sampling
from quillgraph.rl.trajectories.rows import Row, Trajectory, trajectory

RolloutFn = Callable[[Any, ChatBackend, Sampling], Awaitable[Trajectory]]
"""Makes a text for a prompt of the dataset: one call, or a whole graph."""

_ROLES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


async def one_call(prompt: Any, model: ChatBackend, sampling: Sampling) -> Trajectory:
    """Call the policy once for a text, with its exact tokens.

    Args:
        prompt: A string, or the turns of a conversation.
        model: The engine with the policy's weights.
        sampling: How to sample.

    Raises:
        BackendError: If the engine fails or refuses.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    messages = [_ROLES[turn["role"]](turn["content"]) for turn in turns]
    reply = await model.ainvoke(messages, **sampling.options())
    trace = trace_of(reply)
    if trace is None or trace.logprobs is None or not trace.completion_ids:
        raise ServerFailed(
            f"{model.model} returned no tokens or log-probs for {str(prompt)[:60]!r}"
        )
    row = Row(
        prompt_ids=trace.prompt_ids,
        completion_ids=trace.completion_ids,
        logprobs=trace.logprobs,
        mask=(True,) * len(trace.completion_ids),
        graph="",
        node="",
        visit=0,
        calls=(0,),
        role=None,
        weights_version=trace.weights_version,
        reply=str(reply.content),
    )
    key = key_of(prompt)
    return Trajectory(
        episode=f"{key}-{sampling.seed}",
        request_hash=key,
        criteria_sha=None,
        rows=(row,),
        reward=None,
    )


SourceFor = Callable[[Player, Player], EpisodeSource]
"""From the players of the trained roles and of the other roles to the graph with its models. Both
players are the policy, with the sampling of the episode."""


def graph_run(
    source_for: SourceFor,
    *,
    task_for: Callable[[Any], WritingTask] | None = None,
    start: Start | None = None,
) -> RolloutFn:
    """Make rollouts of a graph: each is one episode, and each of its trainable calls is one row.

    The trainable call that wrote the text is the completion that TRL sees; the others are its
    riders.

    Args:
        source_for: Makes the graph with its models for an episode.
        task_for: From a prompt of the dataset to its task; None reads the request from the prompt.
        start: The rest of the graph's input, as for `run_graph`.
    """

    async def run(prompt: Any, model: ChatBackend, sampling: Sampling) -> Trajectory:
        policy = Player.of(model, sampling)
        frozen = Player.of(model, sampling, is_trained=False)
        task = task_for(prompt) if task_for else writing_task(request_of(prompt))
        episode = await run_graph(source_for(policy, frozen), task, start=start)
        if death := policy.death or frozen.death:
            raise death  # a dead engine concerns all episodes, not only this one
        rollout = trajectory(episode)
        # the reward functions decide later whether there is a reward
        why = rollout.excluded if episode.failure or not rollout.rows else reply_of(episode).missing
        return rollout.model_copy(update={"excluded": why})

    return run
