"""The debate: who speaks to whom, what stands, and how it ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import Episode
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.prebuilt import debate
from quillgraph.graphs.prebuilt.debate import Arena

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))


def arena(**measures: Any) -> Arena:
    writer = ScriptedChat(path=SCRIPTS / "debate.writer.yaml")
    frozen = ScriptedChat(path=SCRIPTS / "debate.frozen.yaml")
    others = {"rival": frozen, "critic": frozen, "judge": frozen}
    return cast(Arena, writer, roles=others, samples=1, **measures)


async def debated(context: Arena) -> Episode:
    return await run_graph(debate.build(), TASK, start={"criteria_set": CRITERIA}, context=context)


async def test_each_side_answers_the_critic_and_keeps_what_makes_its_text_better() -> None:
    episode = await debated(arena(rounds=1))
    assert [(a.side, a.parent, a.decision) for a in episode.attempts] == [
        ("writer", None, "drawn"), ("rival", None, "drawn"),
        ("writer", 0, "accepted"), ("rival", 1, "refused"),
    ]  # fmt: skip
    assert episode.attempts[3].reasons
    assert episode.best == 2
    assert (episode.stopped, episode.is_complete) == ("1 rounds are over", True)


async def test_the_critic_sees_both_texts_and_speaks_for_the_other() -> None:
    episode = await debated(arena(rounds=1))
    prompts = {
        call.messages[-1]["content"].partition("<rival")[0]: call.messages[-1]["content"]
        for call in episode.calls
        if call.role == "critic"
    }
    assert len(prompts) == 2
    writer, rival = (attempt.text for attempt in episode.attempts[:2])
    for text, whole in prompts.items():
        own, other = (writer, rival) if "s1: The fog was very thick" in text else (rival, writer)
        assert own.split(". ")[0] in text
        assert other in whole.partition("<rival")[2]


async def test_it_ends_when_neither_side_gains_anything_more() -> None:
    # in the second round the script's critic has nothing to say of the writer's new text, and the
    # rival gives the same revision again
    episode = await debated(arena(rounds=5))
    assert episode.stopped == "neither side could improve its text"
    assert len(episode.attempts) == 5
    assert episode.attempts[episode.best or 0].decision == "accepted"


async def test_no_side_ends_below_its_own_draft() -> None:
    for rounds in (0, 1, 3):
        episode = await debated(arena(rounds=rounds))
        for side in ("writer", "rival"):
            own = [a for a in episode.attempts if a.side == side]
            stood = [a for a in own if a.decision != "refused"][-1]
            assert (stood.reward.value or 0) >= (own[0].reward.value or 0)


@pytest.mark.parametrize("calls", range(2, 11))
async def test_a_budget_in_the_middle_leaves_the_better_of_what_there_is(calls: int) -> None:
    episode = await debated(arena(rounds=1, budget=Budget(max_calls=calls)))
    assert episode.failure is None
    assert episode.is_complete == (calls == 10)
    numbers = [attempt.number for attempt in episode.attempts]
    assert numbers == list(range(len(numbers)))
    if calls < 10:
        assert f"the budget of {calls} calls is spent" in episode.stopped


def test_without_two_drafts_there_is_no_debate() -> None:
    episode = asyncio.run(debated(arena(budget=Budget(max_calls=1))))
    assert episode.failure is not None
    assert episode.failure.kind == "budget"


async def test_a_side_that_the_critic_cannot_be_understood_on_has_no_turn() -> None:
    def mute(request: ChatRequest) -> str:
        system = request.messages[0].content
        return "I cannot say." if system.startswith("You argue") else frozen._by_rule(request)

    frozen = ScriptedChat(path=SCRIPTS / "debate.frozen.yaml")
    writer = ScriptedChat(path=SCRIPTS / "debate.writer.yaml")
    chat = ScriptedChat(reply=mute)
    roles: Any = {"rival": chat, "critic": chat, "judge": chat}
    episode = await debated(cast(Arena, writer, roles=roles, samples=1, rounds=1))
    assert [a.decision for a in episode.attempts] == ["drawn", "drawn"]
    assert {d.stage for d in episode.dropped} == {"reflection"}


def test_an_unknown_role_is_refused() -> None:
    chat = ScriptedChat(path=SCRIPTS / "debate.writer.yaml")
    with pytest.raises(ConfigError, match="unknown role 'critics': did you mean 'critic'"):
        cast(Arena, chat, roles={"critics": chat})
