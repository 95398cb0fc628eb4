"""German: lengths and words of German requests, and German names for every check.

How passages are cut into phrases, and the sentences around what a small model chooses, stay those
of English.
"""

from dataclasses import replace

from quill_german.rules import NUMERALS, PRONOUNS, excluded_words, included_words, lengths
from quill_german.wording import WORDING
from quillgraph.agents.checks import language_for

__all__ = ["GERMAN"]

GERMAN = replace(
    language_for("en"),
    code="de",
    rules=(lengths, included_words, excluded_words),
    request_rules=(),
    wording=WORDING,
    numerals=NUMERALS,
    pronouns=PRONOUNS,
)
