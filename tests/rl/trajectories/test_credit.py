"""A trajectory's advantage, divided among the nodes of its graph."""

import importlib.util
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.domain import Core, CriteriaSet, Criterion
from quillgraph.agents.judgements import Judgement, Verdict, text_hash, unit
from quillgraph.agents.judges import LENGTH_SHARE, SOFT_SHARE, reward
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import CallRecord
from quillgraph.graphs.episodes import Episode
from quillgraph.rl.rewards.group import advantages
from quillgraph.rl.trajectories.credit import (
    by_evidence,
    by_service,
    criterion_parts,
    group_credit,
    node_credit,
    normalised_by_role,
    row_advantages,
)
from quillgraph.rl.trajectories.rows import Row, Trajectory

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

NUMBER = st.floats(-1e6, 1e6)
NODES = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=7, unique=True)
PARTS = st.dictionaries(st.sampled_from(["k1", "k2", "k3", "k4"]), NUMBER)
OWNERS = st.dictionaries(
    st.sampled_from(["k1", "k2", "k3", "k4", "k5"]),
    st.lists(st.sampled_from("abcdefgxyz"), max_size=4),
)


def row(node: str, call: int = 0, role: str | None = None) -> Row:
    return Row(
        prompt_ids=(1,), completion_ids=(2,), logprobs=(-0.5,), mask=(True,), graph=node,
        node=node.rpartition("/")[2], visit=0, calls=(call,), role=role or node,
    )  # fmt: skip


def trajectory(*nodes: str, excluded: str | None = None, role: str | None = None) -> Trajectory:
    rows = tuple(row(node, call, role) for call, node in enumerate(nodes))
    return Trajectory(
        episode="e", request_hash="r", criteria_sha="c", rows=rows, reward=None, excluded=excluded
    )


def criterion(criterion_id: str, weight: float) -> Criterion:
    return Criterion(
        id=criterion_id, name=criterion_id, description="d", kind="soft", tier="important",
        weight=weight, levels={band: band for band in ("1-2", "3-4", "5-6", "7-8", "9-10")},
        category_id="c1", evidence=("i1",),
    )  # fmt: skip


@given(NUMBER, NODES, PARTS, OWNERS)
def test_the_credits_of_the_nodes_sum_to_the_advantage_exactly(
    advantage: float, nodes: list[str], parts: dict[str, float], owners: dict[str, list[str]]
) -> None:
    credit = node_credit(advantage, nodes, parts, owners)
    assert sum(credit.values()) == Fraction(advantage)
    assert set(credit) == set(nodes)


@given(NUMBER, NODES, PARTS, OWNERS, st.randoms())
def test_the_order_of_nodes_criteria_and_owners_does_not_matter(
    advantage: float,
    nodes: list[str],
    parts: dict[str, float],
    owners: dict[str, list[str]],
    random: Any,
) -> None:
    def shuffled(items: Any) -> list[Any]:
        return list(random.sample(list(items), len(items)))

    assert node_credit(advantage, nodes, parts, owners) == node_credit(
        advantage,
        shuffled(nodes),
        dict(shuffled(parts.items())),
        {name: shuffled(whose) for name, whose in shuffled(owners.items())},
    )


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8), st.booleans(), st.data())
def test_uniform_credit_is_grpo_to_the_bit(
    rewards: list[float | None], standardise: bool, data: st.DataObject
) -> None:
    group = [
        trajectory(*data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=5)))
        for _ in rewards
    ]
    grpo, _ = advantages(rewards, standardise=standardise)
    expected = tuple(
        None if value is None else (value,) * len(each.rows)
        for value, each in zip(grpo, group, strict=True)
    )
    assert group_credit(group, grpo) == expected


def test_each_part_goes_to_its_owners_and_the_rest_to_all() -> None:
    credit = node_credit(
        0.25,
        ["planner", "writer", "editor"],
        {"k1": 0.5, "k2": -0.5, "k3": 0.125},
        {"k1": ["writer"], "k2": ["planner", "writer", "nobody"], "k4": ["editor"]},
    )
    # k3 has no owner, so the rest is 1/4 - (1/2 - 1/2) = 1/4, a twelfth for each
    assert credit == {
        "planner": Fraction(-1, 4) + Fraction(1, 12),
        "writer": Fraction(1, 2) - Fraction(1, 4) + Fraction(1, 12),
        "editor": Fraction(1, 12),
    }


def test_a_row_is_weighed_with_its_nodes_credit_times_the_number_of_nodes() -> None:
    rows = [row("plan"), row("write", 1), row("write", 2)]
    # credits: write 1/2 + 1/4, plan 1/4; times two nodes
    assert row_advantages(rows, 1.0, {"k1": 0.5}, {"k1": ["write"]}) == (0.5, 1.5, 1.5)


def test_nobody_can_be_credited_where_nobody_wrote() -> None:
    with pytest.raises(ValueError, match="expected nodes"):
        node_credit(1.0, [])
    assert row_advantages([], 1.0) == ()


SCORES = st.lists(
    st.fixed_dictionaries({"k1": st.integers(1, 10), "k2": st.integers(1, 10)}),
    min_size=1,
    max_size=6,
)


@given(SCORES)
def test_the_parts_are_what_the_reward_says_but_for_length_and_repetition(
    scores: list[dict[str, float]],
) -> None:
    criteria = (criterion("k1", 1.0), criterion("k2", 0.25))
    known = CriteriaSet(
        request_hash="r", language="en", genre="story", criteria=criteria,
        core=Core(category_id="c1", storyline="s"),
    )  # fmt: skip
    text = "The fog came in and it was slow."
    rewards = [
        reward(
            Judgement(
                criteria_sha=known.sha256, text_sha=text_hash(text), judge="j",
                verdicts=tuple(
                    Verdict(criterion_id=k, score=s, votes=(s,)) for k, s in each.items()
                ),
            ),
            known,
            text,
        ).value
        for each in scores
    ]  # fmt: skip
    relative, _ = advantages(rewards)
    parts = criterion_parts(scores, criteria, SOFT_SHARE + LENGTH_SHARE)
    for advantage, each in zip(relative, parts, strict=True):
        assert sum(each.values()) == pytest.approx(advantage, abs=1e-12)


def test_a_criterion_without_a_verdict_has_no_part() -> None:
    criteria = (criterion("k1", 3.0), criterion("k2", 1.0))
    first, second = criterion_parts([{"k1": 10, "k2": 4}, {"k1": 1}], criteria, 0.5)
    # k1: .5 · 3/4 · (1 - 1/2); k2 is compared with itself alone
    assert first == {"k1": 0.5 * 3 * (1 - 0.5) / 4, "k2": 0.0}
    assert second == {"k1": 0.5 * 3 * (0 - 0.5) / 4}
    assert unit(10) == 1


def call(number: int, node: str, reply: str | None, role: str | None = None) -> CallRecord:
    return CallRecord(
        run="e", graph=node, node=node, visit=0, call=number, role=role, attempt=0,
        request_sha256=None, messages=[], options={}, reply=reply, error=None, model=None,
        trace=None, prompt_tokens=0, completion_tokens=0, requested=0, started=None, latency_s=0,
    )  # fmt: skip


def test_who_wrote_the_cited_sentence_first_answers_for_it() -> None:
    episode = Episode(
        id="e", task=writing_task("Write of fog."), stopped="", is_complete=True,
        trainable=("draft", "edit"), given_up=(0,),
        calls=(
            call(0, "draft", "The sea\nsang."),
            call(1, "frozen", "The gull slept."),
            call(2, "edit", "The fog came in."),
            call(3, "draft", "The fog came in. The gull slept. The sea sang."),
            call(4, "draft", None),
        ),
    )  # fmt: skip

    def verdict(name: str, quote: str | None) -> Verdict:
        return Verdict(criterion_id=name, score=5, votes=(5,), quote=quote)

    judgement = Judgement(
        criteria_sha="c", text_sha="t", judge="j",
        verdicts=(
            verdict("k1", "The fog  came in."), verdict("k2", "The gull slept."),
            verdict("k3", "The sea sang."), verdict("k4", None), verdict("k5", "Never written."),
        ),
    )  # fmt: skip
    # k2 was written by a frozen node and handed on by the draft, which is the first that can learn
    assert by_evidence(judgement, episode) == {"k1": ("edit",), "k2": ("draft",), "k3": ("draft",)}


def test_a_criterion_that_several_nodes_serve_is_all_of_theirs() -> None:
    owners = by_service({"plan": ["k1"], "write": ["k1", "k2"]})
    assert owners == {"k1": ("plan", "write"), "k2": ("write",)}


ROLED = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["w", "e"])), max_size=4), max_size=6
)


@given(ROLED)
def test_roles_are_brought_to_mean_zero_over_the_group(
    group: list[list[tuple[float, str]]],
) -> None:
    values = normalised_by_role(
        [[value for value, _ in each] for each in group],
        [[role for _, role in each] for each in group],
    )
    for role in "we":
        scaled = [
            value
            for ours, theirs in zip(values, group, strict=True)
            for value, (_, whose) in zip(ours, theirs, strict=True)
            if whose == role
        ]
        assert sum(scaled) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_with_one_row_of_one_role_each_it_is_standardised_grpo(rewards: list[float]) -> None:
    grpo, _ = advantages(rewards, standardise=True)
    levelled = normalised_by_role([[value] for value in rewards], [["w"]] * len(rewards))
    assert [value for (value,) in levelled] == pytest.approx(list(grpo), abs=1e-9)


def test_excluded_trajectories_have_no_part_in_a_group() -> None:
    group = [trajectory("w", "e"), trajectory("w", excluded="node: bang"), trajectory("w", "e")]
    plain = group_credit(group, [0.5, 9.0, -0.5])
    assert plain == ((0.5, 0.5), None, (-0.5, -0.5))
    # rows of w: ±.5, mean 0, sample deviation √.5
    levelled = group_credit(group, [0.5, 9.0, -0.5], per_role=True)
    assert levelled[1] is None
    assert levelled[0] == pytest.approx((0.5**0.5, 0.5**0.5), abs=1e-3)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        group_credit(group, [0.5])


def toy() -> Any:
    """The benchmark of credit by node, as a module."""
    path = Path(__file__).parents[3] / "benchmarks" / "node_credit.py"
    spec = importlib.util.spec_from_file_location("node_credit_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_credit_by_node_finds_the_guilty_node_in_fewer_samples_than_uniform() -> None:
    benchmark = toy()
    samples = [await benchmark.simulate(seed, groups=12) for seed in range(5)]
    most = 12 * benchmark.GROUP + 1
    node = [each["node"] or most for each in samples]
    uniform = [each["uniform"] or most for each in samples]
    assert median(node) < median(uniform)
    assert all(ours <= theirs for ours, theirs in zip(node, uniform, strict=True))
