"""A text by one call of the policy, the plain way of a rollout."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.traces import trace_of
from quillgraph.rl.planning import key_of
from quillgraph.rl.rollouts import Sampling
from quillgraph.rl.trajectory import Row, Trajectory

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
