"""From an episode to the rows that a loss reads."""

from typing import Any, TypedDict

import pytest
from hypothesis import settings
from langchain_core.language_models import FakeListChatModel
from langgraph.graph import START, StateGraph
from pydantic import ValidationError

from quillgraph.agents.judgements import Reward
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import CallRecord
from quillgraph.backends.errors import InputError
from quillgraph.backends.messages import TokenTrace
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes import Episode, run_graph
from quillgraph.graphs.episodes.episode import Failure
from quillgraph.rl.trajectories.rows import RowCount, trajectory

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

WORTH = Reward(value=0.5, soft=0.5, length=None, repetition=1.0)


def call(
    number: int,
    prompt: tuple[int, ...],
    completion: tuple[int, ...] | None,
    node: str = "write",
    version: str = "base",
) -> CallRecord:
    """A call; `completion` None for one whose backend gave no tokens."""
    trace = completion and TokenTrace(
        prompt_ids=prompt, completion_ids=completion,
        logprobs=tuple(-0.25 * token for token in completion), finish_reason="stop",
        weights_version=version,
    )  # fmt: skip
    return CallRecord(
        run="e", graph=node, node=node, visit=number, call=number, role=None, attempt=0,
        request_sha256=None, messages=[], options={}, reply="so", error=None, model=None,
        trace=trace or None, prompt_tokens=0, completion_tokens=0, requested=0, started=None,
        latency_s=0,
    )  # fmt: skip


def episode(*calls: CallRecord, **fields: Any) -> Episode:
    return Episode(
        **{
            "id": "e", "task": writing_task("Fog."), "stopped": "end", "is_complete": True,
            "trainable": ("write",), "calls": calls, **fields,
        }
    )  # fmt: skip


TALK = (
    call(0, (1, 2), (3, 4)),
    call(1, (1, 2, 3, 4, 9), (5,)),
    call(2, (1, 2, 3, 4, 9, 5, 8, 8), (6, 7)),
)
"""A conversation in which nothing is rewritten."""


def test_each_call_is_a_row() -> None:
    read = trajectory(episode(*TALK), WORTH)
    assert [row.calls for row in read.rows] == [(0,), (1,), (2,)]
    assert read.count == RowCount(rows=3)
    assert (read.excluded, read.reward) == (None, WORTH)
    assert {row.role for row in read.rows} == {"write"}


def test_a_text_that_was_drawn_for_a_reader_is_no_row() -> None:
    plain, other = TALK[:2]
    assert other.trace is not None
    bent = other.model_copy(update={"trace": other.trace.model_copy(update={"is_bent": True})})
    found = trajectory(episode(plain, bent), WORTH)
    assert [row.calls for row in found.rows] == [(0,)]
    assert found.count == RowCount(rows=1, missing=1)
    alone = trajectory(episode(bent), WORTH)
    assert alone.rows == ()
    assert alone.excluded is not None
    assert alone.excluded.endswith("token ids and log-probs of the model's own distribution")


def test_counts_that_older_checkpoints_hold_are_passed_over() -> None:
    older = {"rows": 2, "merged": 0, "forks": 0, "missing": 1, "given_up": 0}
    assert RowCount.model_validate(older) == RowCount(rows=2, missing=1)
    with pytest.raises(ValidationError, match="unknown"):
        RowCount.model_validate({"unknown": 0})


def test_frozen_calls_and_given_up_ones_and_those_without_tokens_are_no_rows() -> None:
    mixed = (*TALK[:2], call(2, (1,), None), call(3, (1,), (2,), node="judge"))
    read = trajectory(episode(*mixed, given_up=(0,)), WORTH)
    assert [row.calls for row in read.rows] == [(1,)]
    assert read.count == RowCount(rows=1, missing=1, given_up=1)


@pytest.mark.parametrize(
    ("fields", "worth", "why"),
    [
        ({"failure": Failure(kind="node", reason="bang", node="write")}, WORTH, "node: bang"),
        ({"calls": (call(0, (1,), None),)}, WORTH, "tokens: none of 1 calls"),
        ({"calls": ()}, WORTH, "role: no answered call"),
        ({}, None, "reward: the graph returned none"),
        (
            {},
            Reward(value=None, soft=None, length=None, repetition=1.0, excluded=("k1",)),
            "reward: no verdict on k1",
        ),
    ],
)
def test_what_nothing_can_be_learned_from_is_excluded_with_the_reason(
    fields: dict[str, Any], worth: Reward | None, why: str
) -> None:
    read = trajectory(episode(**{"calls": TALK, **fields}), worth)
    assert read.excluded is not None
    assert read.excluded.startswith(why)


def test_an_episode_that_was_not_run_by_run_graph_is_refused() -> None:
    with pytest.raises(InputError, match="run_graph"):
        trajectory(episode(*TALK, id=None))


class Text(TypedDict, total=False):
    request: str
    text: str


@pytest.mark.parametrize("gives_tokens", [True, False])
async def test_a_node_of_a_foreign_graph_becomes_rows_if_its_backend_gives_tokens(
    gives_tokens: bool,
) -> None:
    model = (
        ScriptedChat(reply=lambda _: "The fog came in.")
        if gives_tokens
        else FakeListChatModel(responses=["The fog came in."])
    )

    async def write(state: Text) -> Text:
        return {"text": str((await model.ainvoke(state["request"])).content)}

    graph = StateGraph(Text)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    read = trajectory(await run_graph(graph, "Fog.", trainable={"write"}), WORTH)
    if gives_tokens:
        (row,) = read.rows
        assert row.completion_ids[0] == int.from_bytes(b"The ")
        assert (row.role, row.graph, read.excluded) == ("write", "write", None)
    else:
        assert (read.rows, read.count) == ((), RowCount(missing=1))
        assert str(read.excluded).startswith("tokens: none of 1 calls")


def test_the_row_that_wrote_the_text_leads_and_the_others_ride() -> None:
    calls = [
        each.model_copy(update={"reply": reply})
        for each, reply in zip(
            TALK, ("The fog  came in.", "Sure: The fog came in.", "Why?"), strict=True
        )
    ]
    read = trajectory(episode(*calls, output={"text": "The fog came in."}), WORTH)
    assert (read.text, read.lead) == ("The fog came in.", 1)
    assert read.leading.reply == "Sure: The fog came in."
    assert [each.reply for each in read.riders] == ["The fog  came in.", "Why?"]


def test_of_a_text_that_no_row_wrote_the_last_row_leads() -> None:
    read = trajectory(episode(*TALK, output={"messages": [{"content": "Another."}]}), WORTH)
    assert (read.text, read.lead) == ("Another.", -1)
    assert read.leading is read.rows[-1]
    assert trajectory(episode(*TALK), WORTH).text is None


def test_what_a_graph_says_of_who_serves_what_is_read_where_it_can_be() -> None:
    serves = {"write": ["k1", "k2"]}
    assert trajectory(episode(*TALK, output={"serves": serves})).serves == {"write": ("k1", "k2")}
    assert trajectory(episode(*TALK, output={"serves": "k1"})).serves == {}
