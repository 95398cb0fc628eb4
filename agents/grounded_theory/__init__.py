"""The steps of Grounded Theory, one module each."""

from quillgraph.agents.grounded_theory.axial_coding import (
    describe_category,
    group_by_meaning,
    group_codes,
    relate,
)
from quillgraph.agents.grounded_theory.comparison import (
    SIMILAR,
    Pair,
    agreed,
    ask_sameness,
    code_text,
    compare,
    merge,
    similar_pairs,
)
from quillgraph.agents.grounded_theory.observer import observe
from quillgraph.agents.grounded_theory.open_coding import open_code
from quillgraph.agents.grounded_theory.sampler import draft_sample
from quillgraph.agents.grounded_theory.saturation import BASE, is_saturated, new_code_ratio
from quillgraph.agents.grounded_theory.selective_coding import select, unlinked

__all__ = [
    "BASE",
    "SIMILAR",
    "Pair",
    "agreed",
    "ask_sameness",
    "code_text",
    "compare",
    "describe_category",
    "draft_sample",
    "group_by_meaning",
    "group_codes",
    "is_saturated",
    "merge",
    "new_code_ratio",
    "observe",
    "open_code",
    "relate",
    "select",
    "similar_pairs",
    "unlinked",
]
