"""What code can decide, and how requests word it, a folder per language.

What a package of yours needs for a check or a language of its own: a `Check` is one class, a
`Language` one value.
"""

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import CountRange, WordCount
from quillgraph.agents.checks.demand import Demand, Rule, about
from quillgraph.agents.checks.language import Language, language_for
from quillgraph.agents.checks.manner import WrittenIn
from quillgraph.agents.checks.wording import Ranges, Wording
from quillgraph.agents.checks.words import MustInclude, MustNotInclude

__all__ = [
    "Check",
    "CountRange",
    "Demand",
    "Language",
    "MustInclude",
    "MustNotInclude",
    "Ranges",
    "Rule",
    "WordCount",
    "Wording",
    "WrittenIn",
    "about",
    "language_for",
]
