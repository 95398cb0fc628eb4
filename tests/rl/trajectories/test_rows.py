"""From an episode to the rows that a loss reads."""

from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langgraph.graph import START, StateGraph

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
    said: tuple[int, ...] | None,
    node: str = "write",
    version: str = "base",
) -> CallRecord:
    """A call; `said` None for one whose backend gave no tokens."""
    trace = said and TokenTrace(
        prompt_ids=prompt, completion_ids=said, logprobs=tuple(-0.25 * token for token in said),
        finish_reason="stop", weights_version=version,
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


def test_each_call_is_a_row_by_default() -> None:
    found = trajectory(episode(*TALK), WORTH)
    assert [row.calls for row in found.rows] == [(0,), (1,), (2,)]
    assert found.count == RowCount(rows=3)
    assert (found.excluded, found.reward) == (None, WORTH)
    assert {row.role for row in found.rows} == {"write"}


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


def test_calls_that_go_on_from_exact_tokens_are_one_row_with_the_words_between_masked() -> None:
    (row,) = trajectory(episode(*TALK), WORTH, merge=True).rows
    assert row.prompt_ids == (1, 2)
    assert row.completion_ids == (3, 4, 9, 5, 8, 8, 6, 7)
    assert row.mask == (True, True, False, True, False, False, True, True)
    assert row.logprobs == (-0.75, -1.0, 0.0, -1.25, 0.0, 0.0, -1.5, -1.75)
    assert row.calls == (0, 1, 2)
    assert trajectory(episode(*TALK), WORTH, merge=True).count == RowCount(rows=1, merged=2)


def test_a_rewritten_history_forks_into_a_row_of_its_own() -> None:
    # the second call shows the first reply with another token, as a re-encoded text may have
    forked = (TALK[0], call(1, (1, 2, 3, 40, 9), (5,)), call(2, (1, 2, 3, 40, 9, 5), (6,)))
    found = trajectory(episode(*forked), WORTH, merge=True)
    assert [row.calls for row in found.rows] == [(0,), (1, 2)]
    assert found.count == RowCount(rows=2, merged=1, forks=1)


def test_rows_of_other_nodes_and_of_other_weights_are_not_merged() -> None:
    two = (TALK[0], call(1, (1, 2, 3, 4, 9), (5,), node="edit"))
    found = trajectory(episode(*two, trainable=("write", "edit")), WORTH, merge=True)
    assert found.count == RowCount(rows=2)
    swapped = (TALK[0], call(1, (1, 2, 3, 4, 9), (5,), version="step-1"))
    assert trajectory(episode(*swapped), WORTH, merge=True).count == RowCount(rows=2)


TOKENS = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=6))
def test_merging_keeps_every_sampled_token_once_with_its_prompt_and_log_prob(
    calls: list[tuple[tuple[int, ...], tuple[int, ...]]],
) -> None:
    talk = episode(*(call(n, prompt, said) for n, (prompt, said) in enumerate(calls)))
    single, merged = trajectory(talk, WORTH), trajectory(talk, WORTH, merge=True)

    def sampled(found: Any) -> list[tuple[tuple[int, ...], int, float]]:
        return sorted(
            ((*row.prompt_ids, *row.completion_ids[:at]), row.completion_ids[at], row.logprobs[at])
            for row in found.rows
            for at, is_sampled in enumerate(row.mask)
            if is_sampled
        )

    assert sampled(merged) == sampled(single)
    assert merged.count.rows + merged.count.merged == len(calls)


def test_frozen_calls_and_given_up_ones_and_those_without_tokens_are_no_rows() -> None:
    mixed = (*TALK[:2], call(2, (1,), None), call(3, (1,), (2,), node="judge"))
    found = trajectory(episode(*mixed, given_up=(0,)), WORTH)
    assert [row.calls for row in found.rows] == [(1,)]
    assert found.count == RowCount(rows=1, missing=1, given_up=1)


@pytest.mark.parametrize(
    ("fields", "worth", "why"),
    [
        ({"failure": Failure(kind="node", reason="bang", node="write")}, WORTH, "node: bang"),
        ({"calls": (call(0, (1,), None),)}, WORTH, "tokens: none of 1 calls"),
        ({"calls": ()}, WORTH, "role: no answered call"),
        ({}, None, "reward: the graph gave none"),
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
    found = trajectory(episode(**{"calls": TALK, **fields}), worth)
    assert found.excluded is not None
    assert found.excluded.startswith(why)


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
    found = trajectory(await run_graph(graph, "Fog.", trainable={"write"}), WORTH)
    if gives_tokens:
        (row,) = found.rows
        assert row.completion_ids[0] == int.from_bytes(b"The ")
        assert (row.role, row.graph, found.excluded) == ("write", "write", None)
    else:
        assert (found.rows, found.count) == ((), RowCount(missing=1))
        assert str(found.excluded).startswith("tokens: none of 1 calls")


def test_the_row_that_wrote_the_text_leads_and_the_others_ride() -> None:
    calls = [
        each.model_copy(update={"reply": reply})
        for each, reply in zip(
            TALK, ("The fog  came in.", "Sure: The fog came in.", "Why?"), strict=True
        )
    ]
    made = trajectory(episode(*calls, output={"text": "The fog came in."}), WORTH)
    assert (made.text, made.lead) == ("The fog came in.", 1)
    assert made.leading.reply == "Sure: The fog came in."
    assert [each.reply for each in made.riders] == ["The fog  came in.", "Why?"]


def test_of_a_text_that_no_row_wrote_the_last_row_leads() -> None:
    made = trajectory(episode(*TALK, output={"messages": [{"content": "Another."}]}), WORTH)
    assert (made.text, made.lead) == ("Another.", -1)
    assert made.leading is made.rows[-1]
    assert trajectory(episode(*TALK), WORTH).text is None


def test_what_a_graph_says_of_who_serves_what_is_read_where_it_can_be() -> None:
    told = {"write": ["k1", "k2"]}
    assert trajectory(episode(*TALK, output={"serves": told})).serves == {"write": ("k1", "k2")}
    assert trajectory(episode(*TALK, output={"serves": "k1"})).serves == {}
