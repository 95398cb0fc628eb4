"""The engine in a role of a graph."""

import asyncio
from typing import Any

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.agents.writers import Precedents, write_draft
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.messages import trace_of
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.rl.rollouts.run import one_call
from quillgraph.rl.rollouts.sampling import Player, Sampling

HOW = Sampling(temperature=1.0, top_p=1.0, max_tokens=8, seed=5)


def asked_of(player: Player, **options: Any) -> ChatRequest:
    return player.build_request(player._convert_input("rain").to_messages(), **options)


def test_a_trained_part_is_sampled_as_the_trainer_says_whatever_the_graph_asks_for() -> None:
    player = Player.of(ScriptedChat(reply=lambda _: "fog"), HOW)
    request = asked_of(player, temperature=0.2, top_p=0.5, max_tokens=99, seed=7)
    assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 1.0, 8)
    assert asked_of(player, max_tokens=3).max_tokens == 3


def test_what_a_small_writer_asks_for_a_readers_sake_reaches_no_engine_in_training() -> None:
    asked: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        asked.append(request)
        return "Fog on the water, and a bell in it."

    player = Player.of(ScriptedChat(reply=reply, items_per_call=1), HOW)
    role = Role("writer", player)
    assert role.chooses
    task = writing_task("A story of fog.")
    asyncio.run(write_draft(task, Precedents(), role, number=0, max_tokens=99))
    (request,) = asked
    assert not request.is_bent
    # all that the engine is asked: the fields of a request, none of them new
    assert request.model_dump(exclude={"messages", "seed"}) == {
        "json_schema": None,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 8,
        "stop": (),
        "top_logprobs": 0,
    }
    trace = trace_of(asyncio.run(player.ainvoke("rain", min_p=0.1, repetition_penalty=1.1)))
    assert trace is not None
    assert not trace.is_bent


def test_a_single_call_of_the_policy_is_asked_as_it_ever_was() -> None:
    asked: list[ChatRequest] = []

    def reply(request: ChatRequest) -> str:
        asked.append(request)
        return "fog"

    made = asyncio.run(one_call("rain", ScriptedChat(reply=reply, items_per_call=1), HOW))
    # computed by the version of 2026-11-29, which knew neither min-p nor a penalty
    assert asked[0].sha256 == "73459e7880a9fef7eecb8ea569fcd4eabac1f54a7630264c49dfd193b9e57c92"
    assert len(made.rows) == 1


def test_a_frozen_part_is_sampled_as_the_graph_says() -> None:
    player = Player.of(ScriptedChat(reply=lambda _: "fog", max_tokens=40), HOW, is_trained=False)
    request = asked_of(player, temperature=0.2)
    assert (request.temperature, request.max_tokens) == (0.2, 40)


def test_seeds_differ_between_episodes_and_calls_and_come_again_in_a_run_that_resumes() -> None:
    def seeds(seed: int) -> list[int | None]:
        how = Sampling(temperature=1.0, top_p=1.0, max_tokens=8, seed=seed)
        player = Player.of(ScriptedChat(reply=lambda _: "fog"), how)
        # the same question twice, then with a seed of the graph's own
        return [asked_of(player).seed, asked_of(player).seed, asked_of(player, seed=7).seed]

    assert seeds(5) == seeds(5)
    assert len({*seeds(5), *seeds(6)}) == 6


def test_a_reply_under_a_schema_gives_up_log_probs_that_are_not_the_policys() -> None:
    player = Player.of(ScriptedChat(reply=lambda _: "{}"), HOW)
    free = trace_of(asyncio.run(player.ainvoke("rain")))
    bound = trace_of(asyncio.run(player.ainvoke("rain", json_schema={"type": "object"})))
    assert free is not None
    assert free.logprobs is not None
    assert bound is not None
    assert bound.logprobs is None


def test_a_dead_engine_is_known_whatever_a_graph_makes_of_the_error() -> None:
    def dead(_: ChatRequest) -> str:
        raise ServerFailed("gone")

    player = Player.of(ScriptedChat(reply=dead), HOW)
    with pytest.raises(ServerFailed):
        asyncio.run(player.ainvoke("rain"))
    assert str(player.death) == "gone"
