"""Converts requests to vLLM's format, and vLLM's outputs to completions."""

from typing import Any

from quillgraph.backends.messages.bounds import call_grammar, spaced
from quillgraph.backends.messages.request import ChatRequest, Completion
from quillgraph.backends.messages.trace import (
    Alternative,
    Position,
    TokenTrace,
    logprob,
    position,
    sampled_logprobs,
)

ENGINE = "the vLLM engine"
"""What errors call it."""


def sampling_params(request: ChatRequest) -> Any:
    """Convert a request to `vllm.SamplingParams`."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    grammar = None
    if request.forced:
        grammar = StructuredOutputsParams(grammar=call_grammar(request))
    elif request.json_schema is not None:
        grammar = StructuredOutputsParams(json=spaced(request.json_schema))
    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        max_tokens=request.max_tokens,
        seed=request.seed,
        stop=list(request.stop) or None,
        logprobs=request.top_logprobs,  # 0: of the sampled token alone
        structured_outputs=grammar,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_special_tokens=not request.may_call,  # in some models the marks of calls are some
    )


def completion_from_output(
    request: ChatRequest, prompt: tuple[int, ...], final: Any, version: str
) -> Completion:
    """Read vLLM's last `RequestOutput`.

    Args:
        request: The request that it answers.
        prompt: The prompt's token ids.
        final: vLLM's output.
        version: Name of the weights in the trace.

    Raises:
        ServerFailed: If a value is no log-probability.
    """
    output = final.outputs[0]
    ids = tuple(output.token_ids)
    logprobs = sampled_logprobs(
        [step[token].logprob for token, step in zip(ids, output.logprobs, strict=True)], ENGINE
    )
    reason = output.finish_reason or "stop"
    return Completion(
        text=output.text,
        finish_reason=reason,
        prompt_tokens=len(prompt),
        completion_tokens=len(ids),
        cached_tokens=final.num_cached_tokens,
        trace=TokenTrace(
            prompt_ids=prompt,
            completion_ids=ids,
            logprobs=logprobs,
            finish_reason=reason,
            weights_version=version,
        ),
        alternatives=_alternatives(ids, output.logprobs) if request.top_logprobs else None,
    ).with_calls_read(request)


def _alternatives(ids: tuple[int, ...], steps: Any) -> tuple[Position, ...]:
    def alternative(token: Any) -> Alternative:
        return Alternative(text=token.decoded_token or "", logprob=logprob(token.logprob, ENGINE))

    return tuple(
        position(
            alternative(step[sampled]),
            [alternative(step[other]) for other in step if other != sampled],
        )
        for sampled, step in zip(ids, steps, strict=True)
    )
