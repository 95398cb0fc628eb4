"""The comparator: constant comparison of new codings with the existing codes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from quillgraph.agents.domain import Code, Coding
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of
from quillgraph.agents.role import Answers, Role, ask_each
from quillgraph.backends.embeddings import vectors

SIMILAR = 0.85
"""Cosine above which two codes are worth comparing (Thematic-LM, doi:10.1145/3696410.3714595)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Keys of two codes that may mean the same: a code id, or `new<n>` for a coding."""

    id: str
    left: str
    right: str


def code_text(coding: Code | Coding) -> str:
    """The text of a code to embed and compare."""
    return f"{coding.label}: {coding.gloss}"


async def similar_pairs(
    codes: Sequence[Code], codings: Sequence[Coding], embeddings: Embeddings
) -> tuple[Pair, ...]:
    """Find the pairs with at least one new coding that may mean the same.

    Their cosine is above `SIMILAR`, or the coder named the one as equal to the other. Pairs that
    need no comparison are left out: equal labels merge anyway, and codes of different lenses stay
    separate.
    """
    entries = dict(_with_keys(codes, codings))
    keys = list(entries)
    near = await vectors([code_text(entry) for entry in entries.values()], embeddings)
    cosine = near @ near.T
    pairs: list[Pair] = []
    for right in range(len(codes), len(keys)):
        for left in range(right):
            a, b = entries[keys[left]], entries[keys[right]]
            is_named = isinstance(b, Coding) and b.near == keys[left]
            if (is_named or cosine[left, right] > SIMILAR) and _may_be_one(a, b):
                pairs.append(Pair(f"p{len(pairs) + 1}", keys[left], keys[right]))
    return tuple(pairs)


async def compare(
    pairs: Sequence[Pair], codes: Sequence[Code], codings: Sequence[Coding], role: Role
) -> Answers[BaseModel]:
    """Ask which of the pairs mean the same.

    Returns:
        Items with fields `pair` (id) and `same`; a pair without an answer is not merged.
    """
    labels = {key: (entry.label, entry.gloss) for key, entry in _with_keys(codes, codings)}
    return await ask_sameness(pairs, labels, role, "constant comparison")


async def ask_sameness(
    pairs: Sequence[Pair], labels: Mapping[str, tuple[str, str]], role: Role, stage: str
) -> Answers[BaseModel]:
    """Ask which pairs mean the same; they may be pairs of codes or of criteria.

    Args:
        pairs: Pairs of keys.
        labels: Name and explanation of each item, by key.
        role: The comparator.
        stage: Stage of the drops of unusable answers.

    Returns:
        Items with fields `pair` (id) and `same`; see `agreed`.
    """
    sameness = form("Sameness", pair=one_of(pair.id for pair in pairs), same=bool)
    lines = [f"{p.id}: {_quote(*labels[p.left])} / {_quote(*labels[p.right])}" for p in pairs]
    return await ask_each(
        role,
        render("comparing", pairs="\n".join(lines)),
        sameness,
        item="+".join(f"{labels[p.left][0]}/{labels[p.right][0]}" for p in pairs),
        stage=stage,
        at_least=len(pairs),
        at_most=len(pairs),
        temperature=0.0,
        max_tokens=30 * len(pairs) + 20,
    )


def agreed(answers: Answers[BaseModel]) -> tuple[str, ...]:
    """Ids of the pairs that the comparator calls the same.

    A pair with both answers, or with none, is in doubt and is not among them.
    """
    replies = [(entry["pair"], entry["same"]) for entry in map(dict, answers.items)]
    different = {pair for pair, is_same in replies if not is_same}
    return tuple(p for p, is_same in dict.fromkeys(replies) if is_same and p not in different)


def merge(
    codes: Sequence[Code], codings: Sequence[Coding], same: Iterable[Pair]
) -> tuple[Code, ...]:
    """Add codings to the codes, and merge those that mean the same into one code with all evidence.

    Existing codes keep their ids, labels and order. A code merged from codings alone takes the
    label of the most confident one.
    """
    entries = dict(_with_keys(codes, codings))
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(entries)
    graph.add_edges_from((pair.left, pair.right) for pair in same)
    first_with: dict[str, str] = {}
    for key, entry in entries.items():
        graph.add_edge(first_with.setdefault(_label(entry), key), key)
    order = {key: place for place, key in enumerate(entries)}
    groups: list[list[str]] = []
    for component in nx.connected_components(graph):
        members = sorted(component, key=order.__getitem__)
        # known codes never merge with each other: the comparator saw them only beside codings
        later = [key for key in members[1:] if isinstance(entries[key], Code)]
        groups += [[key for key in members if key not in later], *([key] for key in later)]
    groups.sort(key=lambda group: order[group[0]])
    merged, number = [], len(codes)
    for group in groups:
        alike = [entries[key] for key in group]
        known = [entry for entry in alike if isinstance(entry, Code)]
        if not known:
            number += 1
        merged.append(_one_code(alike, known[0].id if known else f"c{number}"))
    return tuple(merged)


def _with_keys(codes: Sequence[Code], codings: Sequence[Coding]) -> list[tuple[str, Code | Coding]]:
    new = [(f"new{number}", coding) for number, coding in enumerate(codings, 1)]
    return [*((code.id, code) for code in codes), *new]


def _one_code(members: Sequence[Code | Coding], code_id: str) -> Code:
    # a known code names its group: later codings must not rename it
    known = [member for member in members if isinstance(member, Code)]
    leader: Any = known[0] if known else max(members, key=lambda member: member.confidence)
    evidence = dict.fromkeys(incident for member in members for incident in member.evidence)
    return Code(
        id=code_id,
        label=leader.label,
        gloss=leader.gloss,
        evidence=tuple(evidence),
        coder=leader.coder,
        confidence=leader.confidence,
        lens=leader.lens,
        words=leader.words,
    )


def _may_be_one(a: Code | Coding, b: Code | Coding) -> bool:
    # codes of two lenses differ by definition, even if they read the same words
    return _label(a) != _label(b) and (a.lens is None or b.lens is None or a.lens == b.lens)


def _label(entry: Code | Coding) -> str:
    return entry.label.casefold()


def _quote(name: str, explanation: str) -> str:
    return f'"{name}" ({explanation})'
