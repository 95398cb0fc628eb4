"""The comparator: constant comparison of new codings with the codes there are."""

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
    """Two codes, by key, that may be one. Keys are code ids, or `new<n>` for a coding."""

    id: str
    left: str
    right: str


def code_text(coding: Code | Coding) -> str:
    """A code in the words that are embedded and compared."""
    return f"{coding.label}: {coding.gloss}"


async def similar_pairs(
    codes: Sequence[Code], codings: Sequence[Coding], embeddings: Embeddings
) -> tuple[Pair, ...]:
    """Find the pairs with a new coding in them that may mean the same.

    Their cosine is above `SIMILAR`, or the coder named the one as equal to the other. Pairs that
    need no comparison are left out: equal labels are merged anyway, and codes of different lenses
    stay apart.
    """
    entries = dict(_keyed(codes, codings))
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
        Items with fields `pair` (id) and `same`; a pair without an answer stays apart.
    """
    labels = {key: (entry.label, entry.gloss) for key, entry in _keyed(codes, codings)}
    return await ask_sameness(pairs, labels, role, "constant comparison")


async def ask_sameness(
    pairs: Sequence[Pair], labels: Mapping[str, tuple[str, str]], role: Role, stage: str
) -> Answers[BaseModel]:
    """Ask which of some pairs mean the same, whatever they are pairs of.

    Args:
        pairs: Pairs of keys.
        labels: Key to the name of what it stands for, and the sentence that explains it.
        role: The comparator.
        stage: What lost answers are counted under.

    Returns:
        Items with fields `pair` (id) and `same`; see `agreed`.
    """
    sameness = form("Sameness", pair=one_of(pair.id for pair in pairs), same=bool)
    lines = [f"{p.id}: {_quoted(*labels[p.left])} / {_quoted(*labels[p.right])}" for p in pairs]
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

    A pair with both answers, or with none, is in doubt and stays apart.
    """
    replies = [(entry["pair"], entry["same"]) for entry in map(dict, answers.items)]
    denied = {pair for pair, is_same in replies if not is_same}
    return tuple(p for p, is_same in dict.fromkeys(replies) if is_same and p not in denied)


def merge(
    codes: Sequence[Code], codings: Sequence[Coding], same: Iterable[Pair]
) -> tuple[Code, ...]:
    """Add codings to the codes; what means the same becomes one code with all the evidence.

    Existing codes keep their ids, labels and order. Of codings that merge, the most confident
    one gives the label.
    """
    entries = dict(_keyed(codes, codings))
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
        # a known code never vanishes into another: only codings have been compared with it
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


def _keyed(codes: Sequence[Code], codings: Sequence[Coding]) -> list[tuple[str, Code | Coding]]:
    new = [(f"new{number}", coding) for number, coding in enumerate(codings, 1)]
    return [*((code.id, code) for code in codes), *new]


def _one_code(members: Sequence[Code | Coding], code_id: str) -> Code:
    # a known code speaks for its group: later codings must not rename it
    known = [member for member in members if isinstance(member, Code)]
    voice: Any = known[0] if known else max(members, key=lambda member: member.confidence)
    evidence = dict.fromkeys(incident for member in members for incident in member.evidence)
    return Code(
        id=code_id,
        label=voice.label,
        gloss=voice.gloss,
        evidence=tuple(evidence),
        coder=voice.coder,
        confidence=voice.confidence,
        lens=voice.lens,
        words=voice.words,
    )


def _may_be_one(a: Code | Coding, b: Code | Coding) -> bool:
    # two lenses look at two things by definition, whatever the words they are turned on
    return _label(a) != _label(b) and (a.lens is None or b.lens is None or a.lens == b.lens)


def _label(entry: Code | Coding) -> str:
    return entry.label.casefold()


def _quoted(name: str, explanation: str) -> str:
    return f'"{name}" ({explanation})'
