"""The text behind its Markdown: what is judged unless the request asks for the marks."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from quillgraph.agents.checkers import Format
from quillgraph.agents.domain import Criterion

MARKED = {"list", "numbered_list", "headings", "table"}
"""Forms of a text that live by their marks."""

_TAG = re.compile(r"<[^<>]*>")


def plain(text: str) -> str:
    """Take the marks of Markdown and HTML off a text; words, lines and paragraphs stay.

    Lists, bold type and headings win the favour of people and of judges alike
    (arXiv:2409.11704), so a judge does not get to see them. The dash or number that opens an item
    of a list goes with them.
    """
    return "\n\n".join(_blocks(_parser().parse(text)))


def shown_to_judge(text: str, criteria: Sequence[Criterion]) -> str:
    """The text as it is judged: plain, unless a demand of the request lives by its marks."""
    checks = (criterion.check for criterion in criteria)
    wanted = any(isinstance(check, Format) and check.form in MARKED for check in checks)
    return text if wanted else plain(text)


@cache
def _parser() -> MarkdownIt:
    # an indented line is verse here, not code
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["code", "entity"])


def _blocks(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        words = ""
        if token.type == "inline":
            words = "".join(map(_said, token.children or []))
        elif token.type in ("fence", "html_block"):
            words = _TAG.sub("", token.content)
        if words.strip():
            yield words.strip()


def _said(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return "" if token.type == "html_inline" else token.content
