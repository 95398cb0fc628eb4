"""Who in a graph earned what: a trajectory's advantage, divided among the nodes that wrote it.

Plain GRPO gives every row of a trajectory the same advantage. Here each criterion's part of it goes
to the nodes that answer for that criterion, and the rest to all alike. Nothing is added and nothing
lost: the nodes' credits sum to the trajectory's advantage, exactly, so they are fractions. DRACO
(arXiv:2609.04094) redistributes an advantage by criterion over the steps of one agent; to divide it
over the nodes of a graph is ours.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import fsum
from statistics import fmean

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judgements import Judgement, judged, unit
from quillgraph.agents.replies import answer_of
from quillgraph.graphs.episodes import Episode, role_of
from quillgraph.rl.rewards.group import Rewards, spread
from quillgraph.rl.trajectories.rows import Row, Trajectory

Parts = Mapping[str, float]
"""Criterion id to the part of an advantage that stems from it."""

Owners = Mapping[str, Collection[str]]
"""Criterion id to the nodes that answer for it, each a path as in `Row.graph`. A criterion without
an owner is everyone's."""


def criterion_parts(
    scores: Sequence[Mapping[str, float]], criteria: Sequence[Criterion], share: float
) -> tuple[dict[str, float], ...]:
    """Say which part of each member's advantage stems from which criterion.

    A_ik = share · w_k · (ŝ_ik - mean_j ŝ_jk) / Σ w, the mean being over the members that have a
    verdict on k. A criterion without a verdict has no part, and what it cost is in the rest.

    Args:
        scores: For each member of a group, criterion id to its score from 1 to 10.
        criteria: Those that were active; hard ones are passed over, as code and no verdict decides
            them.
        share: Weight of the verdicts in the reward (`agents.judges`: .95, and .85 where a length
            is asked for), divided by what the advantages were divided by, if they were.
    """
    weighed = judged(tuple(criteria))
    total = fsum(each.weight for each in weighed)
    means = {
        each.id: fmean(read)
        for each in weighed
        if (read := [unit(one[each.id]) for one in scores if each.id in one])
    }
    return tuple(
        {
            each.id: share * each.weight * (unit(one[each.id]) - means[each.id]) / total
            for each in weighed
            if each.id in one and total
        }
        for one in scores
    )


def by_evidence(judgement: Judgement, episode: Episode) -> dict[str, tuple[str, ...]]:
    """Find who answers for each criterion by the sentence that its verdict cites.

    It is the trainable node that wrote the sentence first: one that handed it on has no part in
    it. A verdict that cites nothing, or a sentence that no trainable call wrote, has no owner.
    """
    return by_words(
        judgement,
        [
            (call.graph, call.reply)
            for call in episode.calls
            if call.reply is not None
            and role_of(call) in episode.trainable
            and call.call not in episode.given_up
        ],
    )


def by_words(
    judgement: Judgement, written: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, ...]]:
    """Find who answers for each criterion, as `by_evidence` does.

    Args:
        judgement: What was found of the text.
        written: Node and reply of each trainable call, in the order in which they were made.
    """
    # what a node has only thought is in no text
    replies = [(node, _spaced(answer_of(reply).words)) for node, reply in written]
    owners: dict[str, tuple[str, ...]] = {}
    for verdict in judgement.verdicts:
        cited = _spaced(verdict.quote or "")
        writer = next((node for node, text in replies if cited and cited in text), None)
        if writer is not None:
            owners[verdict.criterion_id] = (writer,)
    return owners


def by_service(serves: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Turn node to the criteria that it was asked to serve into criterion to nodes."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for node, criteria in serves.items():
        for criterion in criteria:
            owners[criterion].append(node)
    return {criterion: tuple(nodes) for criterion, nodes in owners.items()}


def node_credit(
    advantage: float,
    nodes: Collection[str],
    parts: Parts | None = None,
    owners: Owners | None = None,
) -> dict[str, Fraction]:
    """Divide a trajectory's advantage among its nodes.

    Each criterion's part goes in equal shares to those of its owners that are among the nodes; a
    part that has none, and all of the advantage that is in no part, goes in equal shares to all.

    Returns:
        Node to credit. The credits sum to the advantage exactly, and do not depend on the order of
        anything.

    Raises:
        ValueError: If there are no nodes to take it.
    """
    everyone = sorted(set(nodes))
    if not everyone:
        raise ValueError(f"expected nodes to divide {advantage} among, got none")
    credit = dict.fromkeys(everyone, Fraction(0))
    rest = Fraction(advantage)
    for criterion, part in (parts or {}).items():
        mine = sorted(set((owners or {}).get(criterion, ())) & set(everyone))
        if mine:
            rest -= Fraction(part)
            for node in mine:
                credit[node] += Fraction(part) / len(mine)
    return {node: earned + rest / len(everyone) for node, earned in credit.items()}


def row_advantages(
    rows: Sequence[Row],
    advantage: float,
    parts: Parts | None = None,
    owners: Owners | None = None,
) -> tuple[float, ...]:
    """Give each row the advantage that a loss weighs it with.

    It is its node's credit times the number of nodes, so that the mean over nodes is the
    trajectory's advantage: without parts or owners every row has that, as in GRPO, to the bit.
    """
    nodes = {row.graph for row in rows}
    credit = node_credit(advantage, nodes, parts, owners) if rows else {}
    return tuple(float(len(nodes) * credit[row.graph]) for row in rows)


def normalised_by_role(
    values: Sequence[Sequence[float]], roles: Sequence[Sequence[str | None]]
) -> tuple[tuple[float, ...], ...]:
    """Bring the rows of each role to mean 0 and standard deviation 1 over the whole group.

    Roles that act in other numbers, or earn on another scale, then pull alike. With the rewards
    themselves as values this is Dr. MAS (arXiv:2602.08847). The sum over nodes is kept no longer.

    Args:
        values: For each member of the group one number per row.
        roles: The role of each of these rows.

    Raises:
        ValueError: If the two differ in shape.
    """
    of_role: defaultdict[str | None, list[float]] = defaultdict(list)
    for ours, theirs in zip(values, roles, strict=True):
        for value, role in zip(ours, theirs, strict=True):
            of_role[role].append(value)
    mean = {role: fmean(each) for role, each in of_role.items()}
    scale = {role: spread(each) for role, each in of_role.items()}
    return tuple(
        tuple((value - mean[role]) / scale[role] for value, role in zip(ours, theirs, strict=True))
        for ours, theirs in zip(values, roles, strict=True)
    )


def group_credit(
    group: Sequence[Trajectory],
    advantages: Rewards,
    parts: Sequence[Parts] | None = None,
    owners: Sequence[Owners] | None = None,
    *,
    per_role: bool = False,
) -> tuple[tuple[float, ...] | None, ...]:
    """Give every row of a group its advantage.

    Args:
        group: The trajectories of one prompt.
        advantages: One for each, from `rl.advantages`.
        parts: For each what stems from which criterion; None for plain GRPO.
        owners: For each who answers for which criterion; None for plain GRPO.
        per_role: Whether to bring each role to the same mean and spread afterwards.

    Returns:
        For each trajectory one number per row; None where it is excluded or has no advantage.

    Raises:
        ValueError: If the sequences differ in length.
    """
    some, whose = parts or [{}] * len(group), owners or [{}] * len(group)
    credited = [
        None
        if each.excluded or advantage is None
        else row_advantages(each.rows, advantage, part, owner)
        for each, advantage, part, owner in zip(group, advantages, some, whose, strict=True)
    ]
    if not per_role:
        return tuple(credited)
    kept = [place for place, values in enumerate(credited) if values is not None]
    scaled = normalised_by_role(
        [credited[place] or () for place in kept],
        [[row.role for row in group[place].rows] for place in kept],
    )
    levelled = dict(zip(kept, scaled, strict=True))
    return tuple(levelled.get(place) for place in range(len(group)))


def _spaced(text: str) -> str:
    return " ".join(text.split())
