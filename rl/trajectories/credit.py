"""Credit in a graph: a trajectory's advantage, divided among the nodes that wrote it.

Plain GRPO gives every row of a trajectory the same advantage. Here each criterion's part of it goes
to the nodes responsible for that criterion, and the rest goes to all nodes in equal shares.
The credits of the nodes sum to the trajectory's advantage exactly, so they are fractions. DRACO
(arXiv:2609.04094) redistributes an advantage by criterion over the steps of one agent; dividing it
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
"""Criterion id to the part of an advantage that comes from it."""

Owners = Mapping[str, Collection[str]]
"""Criterion id to the nodes responsible for it, each a path as in `Row.graph`. All nodes share a
criterion without an owner."""


def criterion_parts(
    scores: Sequence[Mapping[str, float]], criteria: Sequence[Criterion], share: float
) -> tuple[dict[str, float], ...]:
    """Compute the part of each member's advantage that comes from each criterion.

    A_ik = share · w_k · (ŝ_ik - mean_j ŝ_jk) / Σ w, with the mean over the members that have a
    verdict on k. A criterion without a verdict has no part; its effect stays in the rest.

    Args:
        scores: For each member of a group, criterion id to its score from 1 to 10.
        criteria: The active criteria; hard ones are skipped, as code decides them and no verdict.
        share: Weight of the verdicts in the reward (`agents.judges`: .95, and .85 where the
            request asks for a length), divided by the divisor of the advantages, if any.
    """
    soft = judged(tuple(criteria))
    total = fsum(each.weight for each in soft)
    means = {
        each.id: fmean(units)
        for each in soft
        if (units := [unit(member[each.id]) for member in scores if each.id in member])
    }
    return tuple(
        {
            each.id: share * each.weight * (unit(member[each.id]) - means[each.id]) / total
            for each in soft
            if each.id in member and total
        }
        for member in scores
    )


def by_evidence(judgement: Judgement, episode: Episode) -> dict[str, tuple[str, ...]]:
    """Find the owner of each criterion by the sentence that its verdict cites.

    The owner is the trainable node that wrote the sentence first; a node that only copied it gets
    no credit. A verdict that cites nothing, or a sentence of no trainable call, has no owner.
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
    """Find the owner of each criterion, as `by_evidence` does.

    Args:
        judgement: Judgement of the text.
        written: Node and reply of each trainable call, in the order of the calls.
    """
    # what a node has only thought is in no text
    replies = [(node, _spaced(answer_of(reply).words)) for node, reply in written]
    owners: dict[str, tuple[str, ...]] = {}
    for verdict in judgement.verdicts:
        quote = _spaced(verdict.quote or "")
        writer = next((node for node, text in replies if quote and quote in text), None)
        if writer is not None:
            owners[verdict.criterion_id] = (writer,)
    return owners


def by_service(serves: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Invert a mapping from node to the criteria that it serves: from criterion to nodes."""
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

    The part of each criterion goes in equal shares to its owners among the nodes. A part without
    such an owner, and the rest of the advantage, go in equal shares to all nodes.

    Returns:
        Node to credit. The credits sum to the advantage exactly and do not depend on any order.

    Raises:
        ValueError: If there are no nodes.
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
    return {node: own + rest / len(everyone) for node, own in credit.items()}


def row_advantages(
    rows: Sequence[Row],
    advantage: float,
    parts: Parts | None = None,
    owners: Owners | None = None,
) -> tuple[float, ...]:
    """Compute the advantage of each row, as a loss uses it.

    It is the credit of the row's node times the number of nodes, so the mean over nodes is the
    trajectory's advantage. Without parts or owners every row has exactly that, as in GRPO.
    """
    nodes = {row.graph for row in rows}
    credit = node_credit(advantage, nodes, parts, owners) if rows else {}
    return tuple(float(len(nodes) * credit[row.graph]) for row in rows)


def normalised_by_role(
    values: Sequence[Sequence[float]], roles: Sequence[Sequence[str | None]]
) -> tuple[tuple[float, ...], ...]:
    """Normalise the rows of each role to mean 0 and standard deviation 1 over the whole group.

    Roles with other numbers of rows, or another scale of advantages, then have equal influence.
    With the rewards themselves as values this is Dr. MAS (arXiv:2602.08847). The sum over nodes no
    longer equals the advantage.

    Args:
        values: For each member of the group, one number per row.
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
    """Compute the advantage of every row of a group.

    Args:
        group: The trajectories of one prompt.
        advantages: One per trajectory, from `rl.advantages`.
        parts: Per trajectory, the part of each criterion; None for plain GRPO.
        owners: Per trajectory, the owners of each criterion; None for plain GRPO.
        per_role: Whether to normalise each role to the same mean and spread afterwards.

    Returns:
        Per trajectory, one number per row; None where it is excluded or has no advantage.

    Raises:
        ValueError: If the sequences differ in length.
    """
    group_parts, group_owners = parts or [{}] * len(group), owners or [{}] * len(group)
    credits = [
        None
        if each.excluded or advantage is None
        else row_advantages(each.rows, advantage, part, owner)
        for each, advantage, part, owner in zip(
            group, advantages, group_parts, group_owners, strict=True
        )
    ]
    if not per_role:
        return tuple(credits)
    places = [place for place, values in enumerate(credits) if values is not None]
    normalised = normalised_by_role(
        [credits[place] or () for place in places],
        [[row.role for row in group[place].rows] for place in places],
    )
    by_place = dict(zip(places, normalised, strict=True))
    return tuple(by_place.get(place) for place in range(len(group)))


def _spaced(text: str) -> str:
    return " ".join(text.split())
