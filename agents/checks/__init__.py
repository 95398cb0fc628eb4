"""What code can decide, and how requests word it, a folder per language."""

from quillgraph.agents.checks.check import Language
from quillgraph.agents.checks.count import WordCount
from quillgraph.agents.checks.demand import about

__all__ = [
    "Language",
    "WordCount",
    "about",
]
