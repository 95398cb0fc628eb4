"""How an episode's advantage is divided among its calls."""

from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet, Criterion
from quillgraph.agents.judgements import Judgement, Verdict
from quillgraph.rl.config.criteria import NO_CORE
from quillgraph.rl.mrpo.credit import NOBODY, RowCredit
from quillgraph.rl.mrpo.plan import Fresh
from quillgraph.rl.rewards.rules import RewardRules
from quillgraph.rl.trajectories.rows import Row, Trajectory

CRITERIA = CriteriaSet(
    request_hash="r",
    language="en",
    genre="tale",
    core=NO_CORE,
    criteria=tuple(
        Criterion(
            id=name, name=name, description="d", kind="soft", tier="essential", weight=1.0,
            levels={}, category_id="k", evidence=("i1",),
        )
        for name in ("k1", "k2")
    ),
)  # fmt: skip


def row(node: str, reply: str) -> Row:
    return Row(
        prompt_ids=(1,), completion_ids=(2,), logprobs=(-1.0,), mask=(True,), graph=node, node=node,
        visit=0, calls=(0,), role=node, reply=reply,
    )  # fmt: skip


def member(**fields: Any) -> Trajectory:
    rows = (row("plan", "The gull slept."), row("write", "The fog came in."))
    return Trajectory(
        episode="e", request_hash="r", criteria_sha=None, rows=rows, reward=None, **fields
    )


def text(score: float) -> Fresh:
    """Judged alike on k2, so that k1 alone tells them apart; it cites what the writer wrote."""
    verdicts = tuple(
        Verdict(criterion_id=name, score=value, votes=(value,), quote=quote)
        for name, value, quote in (("k1", score, "The fog came in."), ("k2", 4, None))
    )
    judgement = Judgement(criteria_sha=CRITERIA.sha256, text_sha="t", judge="j", verdicts=verdicts)
    return Fresh("p", CRITERIA.sha256, "The fog came in.", 4, 0.5, judgement=judgement)


def credited(kind: Any, *group: Trajectory, **fields: Any) -> Any:
    credit = RowCredit(kind, {CRITERIA.sha256: CRITERIA}, RewardRules(dropout=0), **fields)
    return credit(group, [text(10), text(1)], [0.3, -0.3], 0)


def test_the_writer_of_what_is_cited_gets_what_the_criterion_brought() -> None:
    # k1: unit scores 1 and 0, mean .5: part .95·1/2·(1 - .5) = .2375 to `write`; the rest, .0625,
    # is halved: .03125 to plan, .26875 to write; times two nodes
    first, second = credited("evidence", member(), member())
    assert first == pytest.approx((0.0625, 0.5375))
    assert second == pytest.approx((-0.0625, -0.5375))
    assert sum(first) == pytest.approx(2 * 0.3)


def test_a_graph_says_by_its_output_who_serves_what() -> None:
    serving = member(serves={"plan": ("k1",)})
    first, _ = credited("service", serving, serving)
    assert first == pytest.approx((0.5375, 0.0625))
    assert credited("service", member(), member())[0] == (0.3, 0.3)


def test_hard_demands_and_weights_change_what_a_verdict_is_worth() -> None:
    # half of S asks for hard demands, and the function weighs 2: the part is .2375 again
    credit = RowCredit(
        "evidence",
        {CRITERIA.sha256: CRITERIA},
        RewardRules(dropout=0, hard_share=0.5),
        weight=2.0,
    )
    advantages = credit([member(), member()], [text(10), text(1)], [0.3, -0.3], 0)
    assert advantages[0] == pytest.approx((0.0625, 0.5375))


def test_a_member_without_an_episode_has_no_part() -> None:
    assert credited("uniform", member(), NOBODY) == ((0.3, 0.3), None)
