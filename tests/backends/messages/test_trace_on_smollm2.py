"""Why ids are kept: SmolLM2's own tokens are not those of its text."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from quillgraph.backends.calls.lineage import Continuity, continuity, trainable
from quillgraph.backends.calls.record import CallRecord, Recorder
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.messages.trace import goes_on, trace_of

ASK = "Write a long story about the sea."


@pytest.fixture(scope="module")
def tokenizer(smollm2_folder: Path) -> Any:
    """SmolLM2's."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2_folder)


def encoded(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_tokens_that_were_sampled_need_not_be_those_of_their_text(tokenizer: Any) -> None:
    whole = encoded(tokenizer, " lighthouse")
    parts = encoded(tokenizer, " li") + encoded(tokenizer, "gh") + encoded(tokenizer, "thouse")
    assert tokenizer.decode(parts) == tokenizer.decode(whole) == " lighthouse"
    assert encoded(tokenizer, tokenizer.decode(parts)) == whole
    assert whole != parts
    assert len(whole) < len(parts)


SHORT: Any = {"max_tokens": 12}


@pytest.fixture(params=["transformers_chat", "vllm_chat"])
def chat(request: pytest.FixtureRequest) -> ChatBackend:
    backend: ChatBackend = request.getfixturevalue(request.param)
    return backend


@pytest.mark.model
async def test_a_conversation_forks_where_text_is_read_back_and_is_clean_where_it_is_not(
    chat: ChatBackend, tokenizer: Any
) -> None:
    records: list[CallRecord] = []
    with Recorder(None, "r", records.append) as recorder:
        config: Any = {"callbacks": [recorder]}
        # at temperature 2 the model puts words together in ways that no tokenizer does: in a
        # quarter or more of texts of 12 tokens, so that among 32 there are some whatever is drawn
        replies = await asyncio.gather(
            chat.ainvoke(ASK, config, temperature=0.0, max_tokens=12),
            *(
                chat.ainvoke(ASK, config, temperature=2.0, seed=seed, max_tokens=12)
                for seed in range(32)
            ),
        )
        again = await asyncio.gather(
            *(
                chat.ainvoke([HumanMessage(ASK), reply, HumanMessage("Go on.")], config, **SHORT)
                for reply in replies
            )
        )
    as_written = [is_as_written(tokenizer, reply) for reply in replies]
    assert as_written[0]  # greedy
    assert not all(as_written)
    pairs = zip(replies, again, strict=True)
    assert [_goes_on(before, after) for before, after in pairs] == as_written
    clean = sum(as_written)
    assert continuity(records) == Continuity(clean=clean, fork=len(replies) - clean, missing=0)
    # a fork is no reason not to learn from a call: each has the tokens that it was sampled from
    assert len(trainable(records)) == 2 * len(replies)


def is_as_written(tokenizer: Any, reply: AIMessage) -> bool:
    """Whether a reply's text, tokenised again, has the tokens that were sampled."""
    trace = trace_of(reply)
    assert trace is not None
    sampled = [each for each in trace.completion_ids if each not in tokenizer.all_special_ids]
    return encoded(tokenizer, str(reply.content)) == tuple(sampled)


def _goes_on(before: BaseMessage, after: BaseMessage) -> bool:
    first, second = trace_of(before), trace_of(after)
    assert first is not None
    assert second is not None
    return goes_on(first, second)
