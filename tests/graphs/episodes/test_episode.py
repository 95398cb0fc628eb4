"""The record of a run tells the run again by itself."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import checked, judged
from quillgraph.agents.judges import plain, refusal, reward
from quillgraph.agents.requests import writing_task
from quillgraph.agents.writers import plan_edits, refusals, weakest
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.episode import WrittenEpisode
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
    workshop = Workshop.of(ScriptedChat(path=SCRIPTS / "ferry.yaml"))
    done = asyncio.run(reflection.build().compile().ainvoke(start, context=workshop))
    return WrittenEpisode.model_validate_json(done["episode"].model_dump_json())


def test_every_reward_is_found_again_from_the_verdicts_and_the_text(
    episode: WrittenEpisode,
) -> None:
    for attempt in episode.attempts:
        assert reward(attempt.judgement, episode.criteria_set, attempt.text) == attempt.reward


def test_every_broken_demand_and_every_gate_is_found_again_by_code(episode: WrittenEpisode) -> None:
    for attempt in episode.attempts:
        found = [
            (c.id, c.check.violation(attempt.text))
            for c in checked(episode.criteria_set.criteria)
            if c.check
        ]
        told = {v.criterion_id: v.reason for v in attempt.judgement.violations}
        assert told == {each: said for each, said in found if said}
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
