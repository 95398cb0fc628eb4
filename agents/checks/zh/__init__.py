"""Chinese: how requests word their demands, and how code answers."""

from quillgraph.agents.checks.language import Language
from quillgraph.agents.checks.templates import read_templates
from quillgraph.agents.checks.zh import lengths, manner, words
from quillgraph.agents.checks.zh.numerals import NUMERALS
from quillgraph.agents.checks.zh.phrasing import CLAUSES, DEMANDS, PHRASING, PRONOUNS, kind_of
from quillgraph.agents.checks.zh.wording import WORDING

__all__ = ["LANGUAGE"]

LANGUAGE = Language(
    code="zh",
    rules=(
        words.words,
        words.listed_words,
        manner.dialogue,
        manner.person,
        manner.language,
        manner.forms,
    ),
    wording=WORDING,
    numerals=NUMERALS,
    phrasing=PHRASING,
    clauses=CLAUSES,
    demands=DEMANDS,
    kind_of=kind_of,
    pronouns=PRONOUNS,
    templates=read_templates(__name__),
    request_rules=(lengths.lengths, words.edges),
)
