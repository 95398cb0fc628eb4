"""What code can decide, and how requests word it, a folder per language.

What a package of yours needs for a check or a language of its own: a `Check` is one class, a
`Language` one value.
"""

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import (
    COUNTS,
    CharCount,
    CountRange,
    LineCount,
    ListCount,
    ParagraphCount,
    SectionCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.checks.demand import (
    Demand,
    Rule,
    about,
    around,
    bounds_of,
    quoted_terms,
    unquoted,
)
from quillgraph.agents.checks.language import Language, language_for
from quillgraph.agents.checks.manner import (
    ClassicalVerse,
    Dialogue,
    Format,
    Person,
    Title,
    WrittenIn,
)
from quillgraph.agents.checks.quantity import QuantityWords, quantities, tokens_of
from quillgraph.agents.checks.scope import Scope
from quillgraph.agents.checks.wording import Ranges, ScopeWords, Wording
from quillgraph.agents.checks.words import Ending, MustInclude, MustNotInclude, Opening

__all__ = [
    "COUNTS",
    "CharCount",
    "Check",
    "ClassicalVerse",
    "CountRange",
    "Demand",
    "Dialogue",
    "Ending",
    "Format",
    "Language",
    "LineCount",
    "ListCount",
    "MustInclude",
    "MustNotInclude",
    "Opening",
    "ParagraphCount",
    "Person",
    "QuantityWords",
    "Ranges",
    "Rule",
    "Scope",
    "ScopeWords",
    "SectionCount",
    "SentenceCount",
    "StanzaCount",
    "Title",
    "WordCount",
    "Wording",
    "WrittenIn",
    "about",
    "around",
    "bounds_of",
    "language_for",
    "quantities",
    "quoted_terms",
    "tokens_of",
    "unquoted",
]
