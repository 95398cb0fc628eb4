"""Detects which texts are versions of one another, if a file does not say so.

A text and its revision share most of their sentences. If a model is fitted to one and tested on
the other, the test measures memory. If both count as independent, an interval is too narrow.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import networkx as nx

from quillgraph.agents.text import ngrams, tokens

GRAM = 4

SHARED = 0.1
"""Share of the shorter text's 4-grams that makes two texts versions of one: of LAMP's training
texts that finds 917 families, 854 of them of two (LOG.md)."""

COMMON = 60
"""Highest number of texts that share an informative 4-gram."""


def family_of_each(texts: Sequence[str]) -> list[int]:
    """Number the families of texts, in order of their first members.

    Returns:
        For each text the number of its family.
    """
    grams = [set(ngrams(tokens(text), GRAM)) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    alike: nx.Graph[int] = nx.Graph()
    alike.add_nodes_from(range(len(texts)))
    for n, own in enumerate(grams):
        shared = Counter(
            other for gram in own if len(holders[gram]) < COMMON for other in holders[gram]
        )
        for other, count in shared.items():
            if count >= SHARED * min(len(own), len(grams[other])):
                alike.add_edge(n, other)
        for gram in own:
            holders[gram].append(n)
    first = sorted(nx.connected_components(alike), key=min)
    number = {n: family for family, members in enumerate(first) for n in members}
    return [number[n] for n in range(len(texts))]
