"""How a rollout comes about: by one call of the policy, or by a whole graph."""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from quillgraph.agents.tasks import writing_task
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.traces import trace_of
from quillgraph.graphs.running import run_graph
from quillgraph.graphs.sources import EpisodeSource
from quillgraph.rl.planning import key_of
from quillgraph.rl.rollouts import Run, Sampling
from quillgraph.rl.trajectory import Row, Trajectory, trajectory

_ROLES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


async def one_call(prompt: Any, model: ChatBackend, sampling: Sampling) -> Trajectory:
    """Ask the policy for a text, and give its tokens as the engine saw them.

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
        raise ServerFailed(f"{model.model} gave no tokens or log-probs for {str(prompt)[:60]!r}")
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
    )
    key = key_of(prompt)
    return Trajectory(
        episode=f"{key}-{sampling.seed}",
        request_hash=key,
        criteria_sha=None,
        rows=(row,),
        reward=None,
    )


def graph_run(source_for: Callable[[int], EpisodeSource]) -> Run:
    """Make rollouts of a graph: each is one episode, and each trainable call of it one row.

    The last trainable call is the text that TRL sees; the others ride along with its advantage. How
    a call is sampled is the graph's affair, but not its seed: copies of a prompt must differ.

    Args:
        source_for: From a seed to the graph with its cast; the engine plays the trainable roles.
    """

    async def run(prompt: Any, model: ChatBackend, sampling: Sampling) -> Trajectory:
        episode = await run_graph(source_for(sampling.seed), writing_task(request_of(prompt)))
        made = trajectory(episode)
        # whether there is a reward is for the reward functions to say
        why = made.excluded if episode.failure or not made.rows else None
        return made.model_copy(update={"excluded": why})

    return run


def request_of(prompt: Any) -> str:
    """The request in a prompt: a string, or the last user turn of a conversation."""
    if isinstance(prompt, str):
        return prompt
    return str(next(turn["content"] for turn in reversed(prompt) if turn["role"] == "user"))
