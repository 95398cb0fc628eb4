"""The vote: every judge gets every draft, and the duels decide among those that break least."""

import json
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
from quillgraph.graphs.prebuilt import voting
from quillgraph.graphs.prebuilt.voting import Panel

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))

DRAFTS = (
    "A bell rang to port and the pilot cut the engine there.",
    "Fog lay on the water, and the pilot listened to the bell.",
    "Somebody rang a bell" + ", and the deck hummed, and the wheel shook" * 5 + ".",
)
"""The third has 44 words: 4 and 5 times 8."""


def writer() -> ScriptedChat:
    seeds: dict[int | None, int] = {}

    def draft(request: ChatRequest) -> str:
        return DRAFTS[seeds.setdefault(request.seed, len(seeds)) % len(DRAFTS)]

    return ScriptedChat(reply=draft)


def judge(*points: int | None) -> ScriptedChat:
    """A judge that gives each draft these points on every criterion; None says nothing."""

    def score(request: ChatRequest) -> str:
        text = "".join(turn.content for turn in request.messages)
        point = next(p for p, draft in zip(points, DRAFTS, strict=True) if draft[:12] in text)
        items = [
            {"criterion": f"q{n}", "score": point, "evidence": "s1", "reason": "So it is."}
            for n in (1, 2, 3)
        ]
        return json.dumps({"items": items}) if point else "I cannot say."

    return ScriptedChat(reply=score)


async def voted(
    *judges: ScriptedChat, drafts: int = 3, budget: Budget | None = None
) -> tuple[Episode, list[Any]]:
    names = ("first_judge", "second_judge", "third_judge")
    roles: Any = dict(zip(names, judges, strict=True))
    panel = cast(Panel, writer(), roles=roles, drafts=drafts, budget=budget, samples=1)
    start = {"criteria_set": CRITERIA}
    episode = await run_graph(voting.build(), TASK, start=start, context=panel)
    return episode, (episode.output or {}).get("standings", [])


async def test_two_judges_of_three_decide_whatever_the_third_ones_points() -> None:
    episode, standings = await voted(judge(10, 1, 1), judge(5, 6, 1), judge(3, 4, 1))
    # by the mean the first would win: 6.0 to 3.7
    assert [each["candidate"] for each in standings] == [1, 0, 2]
    assert episode.best == 1
    assert [a.decision for a in episode.attempts] == ["drawn"] * 3
    assert episode.attempts[0].judgement.verdicts[0].votes == (10.0, 5.0, 3.0)
    assert episode.attempts[0].judgement.verdicts[0].score == 5.0
    # three drafts, and three judges on each
    assert len(episode.calls) == 12


async def test_a_draft_that_breaks_a_demand_loses_to_one_that_breaks_none() -> None:
    episode, standings = await voted(judge(2, 1, 9), judge(2, 1, 9), judge(2, 1, 9))
    assert [each["candidate"] for each in standings] == [0, 1, 2]
    assert episode.attempts[2].judgement.violated == {"h1"}
    assert episode.best == 0


async def test_a_judge_that_cannot_be_understood_abstains() -> None:
    mute = judge(None, None, None)
    episode, _ = await voted(judge(3, 8, 1), mute, mute)
    assert episode.failure is None
    assert episode.best == 1
    assert episode.attempts[1].reward.value is not None
    assert episode.attempts[1].judgement.missing == ()


async def test_with_no_vote_at_all_no_draft_has_a_reward() -> None:
    mute = judge(None, None, None)
    episode, _ = await voted(mute, mute, mute)
    assert [a.reward.value for a in episode.attempts] == [None] * 3


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 8, 12])
async def test_a_budget_leaves_the_votes_that_were_cast(calls: int) -> None:
    budget = Budget(max_calls=calls)
    episode, _ = await voted(judge(5, 6, 1), judge(5, 6, 1), judge(5, 6, 1), budget=budget)
    assert episode.failure is None
    assert len(episode.attempts) == min(calls, 3)
    assert episode.is_complete == (calls == 12)


def test_one_draft_is_no_election() -> None:
    with pytest.raises(ConfigError, match="expected drafts of 2 or more, got 1"):
        cast(Panel, writer(), drafts=1)
