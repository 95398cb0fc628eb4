"""How a writer is sampled, by its size and by whether a training learns from its texts.

A small model that writes for a reader samples likely tokens only. At temperature 1, which a
training needs, it now and then draws a token that it cannot continue from, and the sentence fails
(benchmarks/first_impression.py).
"""

from types import MappingProxyType
from typing import Any

from quillgraph.agents.role import Role
from quillgraph.backends.capabilities import capabilities_of

PLAIN = MappingProxyType({"temperature": 0.8})
"""For a large model, and for one that a training learns from."""

STEADY = MappingProxyType({"temperature": 0.7, "min_p": 0.1, "repetition_penalty": 1.1})
"""For a small model that writes for a reader."""

STEADY_BY_TOP_P = MappingProxyType({"temperature": 0.7, "top_p": 0.8})
"""The same for a backend that takes neither min-p nor a penalty."""


def writing_options(role: Role) -> dict[str, Any]:
    """The sampling options of a call that writes: a draft, a revision or a part of one."""
    if role.is_learned_from or not role.chooses:
        return dict(PLAIN)
    return dict(STEADY if capabilities_of(role.model).min_p else STEADY_BY_TOP_P)
