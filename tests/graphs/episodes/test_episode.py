"""The record of a run tells the run again by itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import checked, judged
from quillgraph.agents.judges import plain, refusal, reward
from quillgraph.agents.requests import writing_task
from quillgraph.agents.writers import plan_edits, refusals, weakest
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import Episode, WrittenEpisode, reply_of, text_of
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"


@pytest.fixture(scope="module")
def episode() -> WrittenEpisode:
    """One that went through JSON, with nothing else at hand."""
    start = Assignment(
        task=writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8")),
        criteria_set=CriteriaSet.model_validate_json(
            (SCRIPTS / "ferry.criteria.json").read_text(encoding="utf-8")
        ),
    )
    workshop = cast(Workshop, ScriptedChat(path=SCRIPTS / "ferry.yaml"))
    done = asyncio.run(reflection.build().compile().ainvoke(start, context=workshop))
    return WrittenEpisode.model_validate_json(done["episode"].model_dump_json())


def test_every_reward_is_found_again_from_the_verdicts_and_the_text(
    episode: WrittenEpisode,
) -> None:
    for attempt in episode.attempts:
        assert reward(attempt.judgement, episode.criteria_set, attempt.text) == attempt.reward


def test_every_broken_demand_and_every_gate_is_found_again_by_code(episode: WrittenEpisode) -> None:
    for attempt in episode.attempts:
        results = [
            (c.id, c.check.violation(attempt.text))
            for c in checked(episode.criteria_set.criteria)
            if c.check
        ]
        violations = {v.criterion_id: v.reason for v in attempt.judgement.violations}
        assert violations == {each: reason for each, reason in results if reason}
        gate = refusal(plain(attempt.text), episode.task.request, episode.criteria_set)
        assert attempt.judgement.gate == gate


def test_every_criterion_has_a_verdict_or_is_said_to_be_missing(episode: WrittenEpisode) -> None:
    ids = {criterion.id for criterion in judged(episode.criteria_set.criteria)}
    for attempt in episode.attempts:
        missing = {each.criterion_id for each in attempt.judgement.missing}
        assert set(attempt.judgement.scores) | missing == ids
        for verdict in attempt.judgement.verdicts:
            assert verdict.quote is None or verdict.quote in attempt.text


def test_every_decision_its_reasons_and_the_change_are_found_again(episode: WrittenEpisode) -> None:
    first = best = episode.attempts[0]
    for attempt in episode.attempts[1:]:
        assert attempt.parent == best.number
        reasons = refusals(
            episode.criteria_set,
            (attempt.judgement, attempt.reward),
            (best.judgement, best.reward),
            (first.judgement, first.reward),
        )
        assert attempt.reasons == reasons
        assert attempt.decision == ("refused" if reasons else "accepted")
        assert attempt.reward.value is not None
        assert best.reward.value is not None
        assert attempt.delta == attempt.reward.value - best.reward.value
        best = best if reasons else attempt
    assert (episode.best, episode.text) == (best.number, best.text)


def test_every_plan_is_about_the_weakest_criteria_of_the_text_before(
    episode: WrittenEpisode,
) -> None:
    for attempt in episode.attempts[1:]:
        assert attempt.plan is not None
        assert attempt.parent is not None
        before = episode.attempts[attempt.parent].judgement
        about = [criterion.id for criterion in weakest(episode.criteria_set, before)]
        assert [edit.criterion_id for edit in attempt.plan.edits] == about
        assert attempt.plan == plan_edits(episode.criteria_set, before, attempt.plan.edits)


def test_an_episode_without_a_text_is_none(episode: WrittenEpisode) -> None:
    with pytest.raises(ValidationError, match="attempts"):
        WrittenEpisode.model_validate({**episode.model_dump(), "attempts": ()})
    with pytest.raises(ValidationError, match="extra"):
        WrittenEpisode.model_validate({**episode.model_dump(), "mood": "good"})


AI = {"type": "ai", "content": "I will look.", "tool_calls": [{"name": "look", "args": {}}]}


def given_out(output: dict[str, Any] | None) -> Episode:
    """The episode of a graph of which only the output is known."""
    return Episode(task=writing_task("Fog."), stopped="end", is_complete=True, output=output)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"text": "T", "other": "O"}, "T"),
        ({"text": "T", "messages": [{"content": "two"}]}, "T"),
        ({"text": 3, "verse": "V"}, "V"),
        ({"messages": [{"content": "one"}, {"content": "two"}]}, "two"),
        ({"messages": [{"content": ""}]}, ""),
        (
            {"messages": [{"content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}]},
            "ab",
        ),
        ({"messages": [{"content": "two", "type": "ai"}], "style": "plain"}, "two"),
        ({"messages": [{"content": "kept", "type": "tool"}], "letter": "L"}, "L"),
        ({"messages": [{"content": "kept", "type": "tool"}]}, None),
        ({"messages": [], "letter": "L"}, "L"),
        ({"letter": "L"}, "L"),
        ({"letter": {"type": "ai", "content": "L"}}, "L"),
        ({"letter": [{"content": "L"}]}, None),
        ({"text": {"type": "ai", "content": "T"}, "letter": "L"}, "T"),
        ({"letter": "<think>plan</think>L"}, "L"),
        ({"letter": "<think>plan"}, None),
        ({"messages": [{"content": "<think>plan"}], "letter": "L"}, None),
        ({"messages": [AI, {"content": "kept", "type": "tool"}, {"content": "two"}]}, "two"),
        (
            {"messages": [{"content": "two", "type": "ai"}, {"content": "why", "type": "human"}]},
            "two",
        ),
        ({"request": "R", "verse": "V", "count": 2}, "V"),
        ({"request": "R"}, None),
        ({"verse": "V", "title": "T"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_which_part_of_an_output_is_the_text(output: Any, text: str | None) -> None:
    assert text_of(given_out(output)) == text


def test_the_attempt_that_stands_goes_before_all_else(episode: WrittenEpisode) -> None:
    standing = episode.attempts[episode.best].text
    assert text_of(episode.model_copy(update={"output": {"text": "another"}})) == standing


def test_what_the_graph_was_started_with_is_no_text() -> None:
    episode = given_out({"letter": "L", "style": "plain"})
    assert text_of(episode) is None
    reply = reply_of(episode.model_copy(update={"unchanged": ("style",)}))
    assert (reply.text, reply.missing) == ("L", None)


def test_why_there_is_no_text_is_said() -> None:
    assert "no text: the graph gave verse, title" in str(
        reply_of(given_out({"verse": "V", "title": "T"})).missing
    )
    assert "cut off" in str(reply_of(given_out({"text": "<think>plan"})).missing)
