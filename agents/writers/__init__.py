"""Drafts, reflections and revisions, and the rule that accepts a revision."""

from quillgraph.agents.writers.acceptance import refusals, stop_reason
from quillgraph.agents.writers.reflection import (
    Plan,
    Reflection,
    bulleted,
    plan_edits,
    reflect,
    reflecting_prompt,
    weakest,
)
from quillgraph.agents.writers.self_refine import criticise, refine
from quillgraph.agents.writers.writer import (
    Precedents,
    Written,
    drafting_prompt,
    revise,
    revising_fields,
    write_draft,
    write_one_of,
)

__all__ = [
    "Plan",
    "Precedents",
    "Reflection",
    "Written",
    "bulleted",
    "criticise",
    "drafting_prompt",
    "plan_edits",
    "refine",
    "reflect",
    "reflecting_prompt",
    "refusals",
    "revise",
    "revising_fields",
    "stop_reason",
    "weakest",
    "write_draft",
    "write_one_of",
]
