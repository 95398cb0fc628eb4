"""How a writer is sampled, by its size and by whom the text is for.

A small model that writes for a reader is kept to what it finds likely: at temperature 1, which a
training needs, one token in so many is drawn that it cannot go on from, and the sentence is lost
(benchmarks/first_impression.py).
"""

from types import MappingProxyType
from typing import Any

from quillgraph.agents.role import Role
from quillgraph.backends.capabilities import capabilities_of

PLAIN = MappingProxyType({"temperature": 0.8})
"""A model that can bear it, and one that is learned from."""

STEADY = MappingProxyType({"temperature": 0.7, "min_p": 0.1, "repetition_penalty": 1.1})
"""A small model, for a reader."""

STEADY_BY_TOP_P = MappingProxyType({"temperature": 0.7, "top_p": 0.8})
"""The same behind an interface that takes neither min-p nor a penalty."""


def writing_options(role: Role) -> dict[str, Any]:
    """The sampling options of a call that writes: a draft, a revision or a part of one."""
    if role.is_learned_from or not role.chooses:
        return dict(PLAIN)
    return dict(STEADY if capabilities_of(role.model).min_p else STEADY_BY_TOP_P)
