"""Measures of a text that do not depend on what it is for."""

from quillgraph.agents.text.amount import amount
from quillgraph.agents.text.file import parse_json, parse_yaml, read_text
from quillgraph.agents.text.language import (
    CJK,
    LETTERS_PER_CHARACTER,
    UNDETERMINED,
    language_of,
    letter_count,
)
from quillgraph.agents.text.measures import ngrams, tokens, word_count
from quillgraph.agents.text.meta_talk import is_meta
from quillgraph.agents.text.numerals import Numerals
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.agents.text.terminal import visible

__all__ = [
    "CJK",
    "LETTERS_PER_CHARACTER",
    "UNDETERMINED",
    "Numerals",
    "amount",
    "is_meta",
    "language_of",
    "letter_count",
    "ngrams",
    "parse_json",
    "parse_yaml",
    "read_text",
    "sentence_spans",
    "tokens",
    "visible",
    "word_count",
]
