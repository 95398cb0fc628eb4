"""The whole workflow on the real model: small, but nothing in it is scripted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quillgraph.agents import writing_task
from quillgraph.backends import CallRecord, Recorder, read_records
from quillgraph.backends.embeddings import connect_embeddings
from quillgraph.backends.vllm import VllmChat
from quillgraph.graphs import Study
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study import workflow as criteria

REQUEST = (
    "Write a bedtime story for my six-year-old daughter who is afraid of the dark. Set it in a "
    "lighthouse, use the second person, keep it under 300 words, and do not end with a moral."
)


@pytest.mark.model
async def test_a_request_becomes_grounded_criteria(
    vllm_chat: VllmChat, tmp_path: Path, peak_in_flight: Callable[[list[CallRecord]], int]
) -> None:
    study = cast(
        Study, vllm_chat, embeddings=connect_embeddings("minilm"), seed=7, drafts=2, draft_tokens=40
    )
    with Recorder(tmp_path / "calls.jsonl", run="test") as recorder:
        result = (
            await criteria.build()
            .compile()
            .ainvoke(
                {"task": writing_task(REQUEST)},
                {"callbacks": [recorder]},
                context=study,
                version="v2",
            )
        )
    done = result.value["criteria_set"]
    assert 5 <= len(done.criteria) <= 10
    assert len({criterion.name for criterion in done.criteria}) == len(done.criteria)
    assert {c.check.type for c in done.criteria if c.check} == {"person", "word_count"}
    trail = provenance.trace(result.value)
    for criterion in done.criteria:
        assert provenance.words_behind(trail, criterion.id)
    assert provenance.coverage(trail) == 1.0
    records = read_records(tmp_path / "calls.jsonl")
    assert all(record.trace and record.trace.logprobs for record in records if record.reply)
    # the fixture's engine takes 4 calls at a time
    assert peak_in_flight(records) == 4
