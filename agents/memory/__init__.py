"""What later episodes use of earlier ones: lessons and known criteria."""

from quillgraph.agents.memory.consolidation import apply, consolidate
from quillgraph.agents.memory.contrast import contrasted, scores_of, silent, spreads
from quillgraph.agents.memory.known_criteria import (
    Consulted,
    KnownCriterion,
    LibraryUpdate,
    Suggestion,
    criterion_text,
    fate,
    known_from,
    request_key,
    used_again,
    with_scores,
)
from quillgraph.agents.memory.lesson import (
    TOKEN,
    WORD_CHARS,
    Contrast,
    Fate,
    Lesson,
    MemoryEntry,
    Recalled,
    weight,
)

__all__ = [
    "TOKEN",
    "WORD_CHARS",
    "Consulted",
    "Contrast",
    "Fate",
    "KnownCriterion",
    "Lesson",
    "LibraryUpdate",
    "MemoryEntry",
    "Recalled",
    "Suggestion",
    "apply",
    "consolidate",
    "contrasted",
    "criterion_text",
    "fate",
    "known_from",
    "request_key",
    "scores_of",
    "silent",
    "spreads",
    "used_again",
    "weight",
    "with_scores",
]
