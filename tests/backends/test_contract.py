"""The contract suite on the backends of this package, and what SmolLM2 alone can show.

`docs/backends.md` is made from the tests that are collected here: see `capability_matrix.py`.
"""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    BaseMessage,
)

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.contract.plugin import Subject, run_on
from quillgraph.backends.contract.prompts import ASK, CALL, LOOKED, SCORE, TALK, look
from quillgraph.backends.contract.test_adapters import *
from quillgraph.backends.contract.test_calls import *
from quillgraph.backends.contract.test_graphs import *
from quillgraph.backends.contract.test_load import *
from quillgraph.backends.contract.test_tokens import *
from quillgraph.backends.contract.test_tools import *
from quillgraph.backends.messages.trace import alternatives_of, trace_of

ALL = frozenset({"json_schema", "token_ids", "logprobs", "top_logprobs", "tools"})
REAL = ALL | {"adapters", "window", "time", "model"}
SUBJECTS = (
    Subject("scripted", ALL | {"time"}, fixture="scripted_chat"),
    Subject("cassette", ALL, fixture="cassette_chat"),  # a recording gives its replies at once
    Subject("openai", ALL | {"window", "time"}, fixture="openai_chat"),
    Subject("bare", frozenset({"time"}), fixture="bare_chat"),
    *(
        Subject(name, REAL, fixture=f"{name.replace('-', '_')}_chat", marks=(pytest.mark.model,))
        for name in ("transformers", "vllm", "vllm-server")
    ),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run_on(metafunc, SUBJECTS)


RATE = 'Rate this story from 0 to 9 as JSON: "The sea took the lamp."'


@pytest.mark.needs("model")
async def test_the_alternatives_to_a_score_are_the_models_distribution_over_the_scores(
    backend: ChatBackend,
) -> None:
    # together, so that a greedy row shares its batch with sampled ones
    replies = await asyncio.gather(
        *(
            backend.ainvoke(RATE, json_schema=SCORE, temperature=each, seed=3, top_logprobs=20)
            for each in (0.0, 1.0, 0.5)
        )
    )
    greedy, sampled, sharper = [_over_scores(reply) for reply in replies]
    for probabilities in (greedy, sampled, sharper):
        assert sorted(probabilities) == list("0123456789")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)
    # temperature 0 reports the distribution at temperature 1, in which the best score had 0.29 to
    # 0.45, and no single point, in which it would have 1
    assert max(greedy.values()) < 0.9
    assert json.loads(str(replies[0].content))["score"] == int(max(greedy, key=greedy.__getitem__))
    assert max(sharper.values()) > max(sampled.values())


def _over_scores(reply: BaseMessage) -> dict[str, float]:
    positions = alternatives_of(reply)
    assert positions is not None
    (place,) = [each for each in positions if each.text.isdecimal()]
    return {each.text: math.exp(each.logprob) for each in place.alternatives}


@pytest.mark.needs("model")
async def test_the_tokens_of_the_trace_are_those_of_the_text(
    backend: ChatBackend, smollm2_folder: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    reply = await backend.ainvoke(TALK, max_tokens=24, seed=2)
    trace = trace_of(reply)
    assert trace is not None
    text = tokenizer.decode(trace.completion_ids, skip_special_tokens=True)
    assert text.rstrip("\ufffd") == str(reply.content).rstrip("\ufffd")
    prompt = tokenizer.decode(trace.prompt_ids)
    # the template's own system turn, three of ours, its own
    assert prompt.count("<|im_start|>") == 5
    assert prompt.endswith("Go on.<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.needs("model")
async def test_the_tokens_of_a_call_are_those_that_the_model_wrote(
    backend: ChatBackend, tool_folder: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tool_folder)
    bound = backend.bind_tools([look], tool_choice="look")
    reply = await bound.ainvoke(LOOKED, max_tokens=90, seed=2)
    trace = trace_of(reply)
    assert trace is not None
    args = json.dumps(reply.tool_calls[0]["args"])
    expected = CALL.replace('{"place": "sea"}', args)
    assert tokenizer.decode(trace.completion_ids, skip_special_tokens=True) == expected
    prompt = tokenizer.decode(trace.prompt_ids)
    assert '"name": "look"' in prompt.rpartition("</tools>")[0]
    assert prompt.endswith(
        f"<|im_start|>assistant\n{CALL}<|im_end|>\n<|im_start|>user\n<tool_response>\n"
        "The sea is calm.\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.needs("model")
async def test_a_trace_says_whether_its_distribution_was_bent(backend: ChatBackend) -> None:
    options: dict[str, Any] = {"max_tokens": 4, "temperature": 1.0, "seed": 3}
    plain, bent, lowered = await asyncio.gather(
        backend.ainvoke(ASK, **options),
        backend.ainvoke(ASK, **options, min_p=0.1),
        backend.ainvoke(ASK, **options, repetition_penalty=1.1),
    )
    traces = [trace_of(each) for each in (plain, bent, lowered)]
    assert [trace and trace.is_bent for trace in traces] == [False, True, True]


@pytest.mark.needs("model")
async def test_the_log_probs_are_those_of_the_distribution_that_min_p_leaves(
    backend: ChatBackend,
) -> None:
    whole = await backend.ainvoke(ASK, max_tokens=12, temperature=0.0)
    # of a token as likely as the likeliest there is one, which is certain then
    best = await backend.ainvoke(ASK, max_tokens=12, temperature=1.0, seed=3, min_p=1.0)
    assert best.content == whole.content
    trace = trace_of(best)
    assert trace is not None
    assert trace.logprobs == pytest.approx([0.0] * len(trace.completion_ids), abs=1e-3)


@pytest.mark.needs("model")
async def test_a_repetition_penalty_keeps_a_greedy_reply_from_repeating_itself(
    backend: ChatBackend,
) -> None:
    ask = "Say blue blue blue blue blue and nothing else."
    options: dict[str, Any] = {"max_tokens": 48, "temperature": 0.0}
    plain, bent = await asyncio.gather(
        backend.ainvoke(ask, **options),
        backend.ainvoke(ask, **options, repetition_penalty=1.5),
    )

    def repeats(reply: BaseMessage) -> int:
        trace = trace_of(reply)
        assert trace is not None
        return len(trace.completion_ids) - len(set(trace.completion_ids))

    assert repeats(bent) < repeats(plain) / 2
