"""The engine in a role of a graph."""

import asyncio
from typing import Any

import pytest

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ServerFailed
from quillgraph.backends.messages import trace_of
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.rl.rollouts.sampling import Player, Sampling

HOW = Sampling(temperature=1.0, top_p=1.0, max_tokens=8, seed=5)


def asked_of(player: Player, **options: Any) -> ChatRequest:
    return player.build_request(player._convert_input("rain").to_messages(), **options)


def test_a_trained_part_is_sampled_as_the_trainer_says_whatever_the_graph_asks_for() -> None:
    player = Player.of(ScriptedChat(reply=lambda _: "fog"), HOW)
    request = asked_of(player, temperature=0.2, top_p=0.5, max_tokens=99, seed=7)
    assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 1.0, 8)
    assert asked_of(player, max_tokens=3).max_tokens == 3


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
