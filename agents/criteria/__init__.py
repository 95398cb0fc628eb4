"""Write, try out, validate and read criteria."""

from quillgraph.agents.criteria.file import read_criteria
from quillgraph.agents.criteria.one_shot import one_shot_criteria
from quillgraph.agents.criteria.trial import try_out
from quillgraph.agents.criteria.validation import (
    PROBES,
    STRENGTH_SHARE,
    CriterionRefusal,
    Trial,
    duplicates,
    is_sound,
    keep_valid,
    strength_share,
    trusted_scores,
    ungrounded,
    uniquely_named,
    weaknesses,
)
from quillgraph.agents.criteria.writer import (
    FEWEST_CRITERIA,
    MOST_HARD,
    Slot,
    hard_criteria,
    plan_criteria,
    write_criterion,
)

__all__ = [
    "FEWEST_CRITERIA",
    "MOST_HARD",
    "PROBES",
    "STRENGTH_SHARE",
    "CriterionRefusal",
    "Slot",
    "Trial",
    "duplicates",
    "hard_criteria",
    "is_sound",
    "keep_valid",
    "one_shot_criteria",
    "plan_criteria",
    "read_criteria",
    "strength_share",
    "trusted_scores",
    "try_out",
    "ungrounded",
    "uniquely_named",
    "weaknesses",
    "write_criterion",
]
