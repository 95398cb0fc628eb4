"""English: how requests word their demands, and how code answers."""

from quillgraph.agents.checks.en import lengths, manner, words
from quillgraph.agents.checks.en.numerals import NUMERALS
from quillgraph.agents.checks.en.phrasing import CLAUSES, DEMANDS, PHRASING, PRONOUNS, kind_of
from quillgraph.agents.checks.en.wording import WORDING
from quillgraph.agents.checks.language import Language
from quillgraph.agents.checks.templates import read_templates

__all__ = ["LANGUAGE"]

LANGUAGE = Language(
    code="en",
    rules=(
        words.included_words,
        words.excluded_words,
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
    request_rules=(lengths.lengths, words.edges, lengths.lists, manner.poems),
)
