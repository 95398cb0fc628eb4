"""Poor texts are revised by the loop's own steps, and only what may stand is remembered."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import Refused
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.prebuilt import Submission, judge_text
from quillgraph.rl.columns import key_of
from quillgraph.rl.config.criteria import hard_set
from quillgraph.rl.config.requests import prompt_of
from quillgraph.rl.mrpo.memory import Revision, Unsatisfying
from quillgraph.rl.mrpo.plan import Fresh
from quillgraph.rl.rewards.functions import checked_values
from quillgraph.rl.rewards.rules import RewardRules
from quillgraph.rl.rewards.scorer import JudgeQueue
from quillgraph.rl.stages.reviser import Reviser

TASK = writing_task("Write a story of the sea in exactly eight words.")
CRITERIA = hard_set(TASK)
DRAFT = "The sea took everything that he had ever loved, and then the boat."
EIGHT = "The sea took everything and gave nothing back."


def judgement_of(text: str) -> Judgement:
    submission = Submission(task=TASK, criteria_set=CRITERIA, text=text)
    return asyncio.run(judge_text(submission, None))


def poor(
    task: WritingTask, *, judgement: Judgement | None, parts: dict[str, float]
) -> Unsatisfying:
    prompt = prompt_of(task, "request")
    fresh = Fresh(
        prompt=key_of(prompt), criteria_sha=CRITERIA.sha256, text=DRAFT, tokens=14, reward=0.3,
        judgement=judgement, parts=parts,
    )  # fmt: skip
    columns = {"request": task.request, "trainer_state": SimpleNamespace(global_step=4)}
    return Unsatisfying(prompt, (1, 2, 3), fresh, columns)


def revised(
    reply: Callable[[ChatRequest], str],
    *,
    judgement: Judgement | None,
    parts: dict[str, float] | None = None,
    **further: Any,
) -> list[Revision | None]:
    scorer = JudgeQueue()
    reviser = Reviser(
        writer=Role("writer", ScriptedChat(reply=reply)),
        tasks={key_of(prompt_of(TASK, "request")): TASK},
        sets={TASK.request_hash: CRITERIA},
        scorer=scorer,
        rules=RewardRules(dropout=0),
        max_tokens=64,
        **{"functions": (), "weights": {"criteria": 1.0}, **further},
    )
    revision = reviser([poor(TASK, judgement=judgement, parts=parts or {})])
    scorer.close()
    return revision


def test_a_revision_that_mends_what_code_found_is_kept_with_its_exact_tokens() -> None:
    prompts: list[str] = []

    def reply(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return EIGHT

    (revision,) = revised(reply, judgement=judgement_of(DRAFT))
    assert revision is not None
    assert revision.text == EIGHT
    assert revision.reward == pytest.approx(1.0)
    # a scripted token is four bytes of the text
    assert len(revision.completion_ids) == -(-len(EIGHT) // 4)
    assert revision.judgement is not None
    assert not revision.judgement.violated
    # the plan says what was expected and what was found
    assert "expected exactly 8 words, got 13" in prompts[0]


def test_a_revision_counts_by_every_reward_function_as_a_fresh_text_does() -> None:
    def words(
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]],
        request: list[str],
        trainer_state: Any,
        log_metric: Any,
        log_extra: Any,
    ) -> Any:
        assert (prompts, request) == ([prompt_of(TASK, "request")], [TASK.request])
        assert (trainer_state.global_step, len(completion_ids[0])) == (4, 12)
        log_metric("words", 8.0)
        return [len(completions[0][0]["content"].split())]

    def silent(completions: list[Any], **_: Any) -> Any:
        return [None]

    (revision,) = revised(
        lambda _: EIGHT,
        judgement=judgement_of(DRAFT),
        functions=[checked_values(words), checked_values(silent)],
        weights={"criteria": 1.0, "words": 0.5, "silent": 1.0},
    )
    assert revision is not None
    assert revision.parts == {"criteria": pytest.approx(1.0), "words": 8}
    assert revision.reward == pytest.approx(5.0)


def test_a_revision_that_a_function_cannot_reward_is_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def of_trajectories(trajectory: list[Any], **_: Any) -> Any:
        return [1.0]

    revisions = revised(
        lambda _: EIGHT,
        judgement=judgement_of(DRAFT),
        functions=[checked_values(of_trajectories)],
        weights={"criteria": 1.0, "of_trajectories": 1.0},
    )
    assert revisions == [None]
    assert "a revision is left out, as it cannot be rewarded" in caplog.text


@pytest.mark.parametrize("reply", [DRAFT, f"{DRAFT} {DRAFT}"])
def test_a_revision_that_is_no_better_is_none(reply: str) -> None:
    assert revised(lambda _: reply, judgement=judgement_of(DRAFT)) == [None]


def test_a_writer_that_fails_costs_the_round_and_not_the_step() -> None:
    def refuse(_: ChatRequest) -> str:
        raise Refused("no more today")

    assert revised(refuse, judgement=judgement_of(DRAFT)) == [None]


def test_a_text_that_needs_no_edit_or_was_not_judged_is_left_alone() -> None:
    def unexpected(_: ChatRequest) -> str:
        raise AssertionError("nobody was to be asked")

    assert revised(unexpected, judgement=judgement_of(EIGHT)) == [None]
    assert revised(unexpected, judgement=None) == [None]


def test_a_revision_that_lacks_a_reward_of_its_text_is_not_remembered() -> None:
    def failing(completions: list[Any], **_: Any) -> Any:
        return [None]

    weights = {"criteria": 1.0, "failing": 1.0}
    functions = [checked_values(failing)]
    common: dict[str, Any] = {"judgement": judgement_of(DRAFT), "weights": weights}
    # as a reward of 0 it would make the revision worth less than it is
    assert revised(
        lambda _: EIGHT, functions=functions, parts={"criteria": 0.3, "failing": 0.7}, **common
    ) == [None]
    (kept,) = revised(lambda _: EIGHT, functions=functions, parts={"criteria": 0.3}, **common)
    assert kept is not None
