"""Outer forms of a text that its marks show: lists, headings, tables, letters."""

import re
from itertools import pairwise
from typing import Literal

from quillgraph.agents.text.measures import is_heading

Form = Literal[
    "list", "numbered_list", "no_list", "no_markdown", "headings", "no_headings", "table", "letter"
]

EXPECTED: dict[Form, str] = {
    "list": "a list of at least two items, found none",
    "numbered_list": "a numbered list of at least two items, found none",
    "no_list": "no list, found one",
    "no_markdown": "plain text, found Markdown marks",
    "headings": "headings, found none",
    "no_headings": "no headings, found some",
    "table": "a table, found none",
    "letter": "a letter with a salutation, found none",
}
"""End of the violation message of each form, after "expected"."""

_BULLET = re.compile(r"^[^\S\n]*[-*+•●▪◦·][^\S\n]+\S", re.MULTILINE)
_NUMBERED = re.compile(
    r"^[^\S\n]*(?:\*\*)?(?:\d{1,3}(?:[.)、．](?!\d)|）)|[（(](?:\d{1,3}|[一二三四五六七八九十]{1,3})[)）]"
    r"|[一二三四五六七八九十]{1,3}、|[①-⑳])[^\S\n]*\S",
    re.MULTILINE,
)
_TABLE_RULE = re.compile(r"\|?\s*:?-{2,}:?\s*(?:\|[\s:-]*)*")
_MARKDOWN = re.compile(
    r"^ {0,3}#{1,6}\s|\*\*[^*\n]+\*\*|__[^_\n]+__|^[^\S\n]*(?:[-*+]\s+\S|```|>\s|\|[^\n]*\|)"
    r"|\[[^\]\n]{1,200}\]\(https?:|`[^`\n]+`",
    re.MULTILINE,
)
_SALUTATION = re.compile(
    r"(?:my )?(?:dear|dearest|hello|hi|hey|greetings|to whom it may concern"
    r"|good (?:morning|evening|day))\b.{0,80}|to (?:my|the|all|our|you)\b[^.]{0,60}[,:]"
    r"|[^,.]{0,30}(?:my love|darling|sweetheart)[^.]{0,20}[,!]"
    r"|[^。！？]{0,20}(?:尊敬的|敬爱的|亲爱的|親愛的)[^。！？]{1,30}[：:，,！!]?"
    r"|(?:致|给)[^。！？]{1,20}[：:]|[^，。！？：:]{1,15}[：:]",
    re.IGNORECASE,
)
_SALUTATION_LINES = 12
"""Non-blank lines within which a letter greets: addresses, date and subject may come first."""


def has_form(form: Form, text: str) -> bool:
    """Whether the text has the form; an empty text has only those that begin with `no_`."""
    return _TESTS[form](text)


def _is_list(text: str) -> bool:
    return len(_BULLET.findall(text)) >= 2 or _is_numbered_list(text)


def _is_numbered_list(text: str) -> bool:
    return len(_NUMBERED.findall(text)) >= 2


def list_item_counts(text: str) -> set[int]:
    """Count the outermost items of a list, once for bullets and once for numbers."""
    counts = set()
    for mark in (_BULLET, _NUMBERED):
        indents = [len(match[0]) - len(match[0].lstrip()) for match in mark.finditer(text)]
        counts.add(sum(indent <= min(indents) for indent in indents))
    return counts - {0}


def list_items(text: str) -> list[str]:
    """Take the outermost items of a list without their marks, with what is indented below them."""
    marks = [*_BULLET.finditer(text), *_NUMBERED.finditer(text)]
    indents = [len(match[0]) - len(match[0].lstrip()) for match in marks]
    outer = sorted(
        (match.start(), match.end() - 1)
        for match, indent in zip(marks, indents, strict=True)
        if indent <= min(indents)
    )
    ends = [*(start for start, _ in outer[1:]), len(text)][: len(outer)]
    # the last item ends with its paragraph: what follows it is no part of the list
    items = [text[begin:end] for (_, begin), end in zip(outer, ends, strict=True)]
    return [re.split(r"\n\s*\n", item)[0].strip() for item in items]


def _has_headings(text: str) -> bool:
    return any(map(is_heading, text.splitlines()))


def _is_letter(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return any(_SALUTATION.fullmatch(line.strip()) for line in lines[:_SALUTATION_LINES])


def _has_table(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines()]
    return any("|" in head and _TABLE_RULE.fullmatch(rule) for head, rule in pairwise(lines))


_TESTS = {
    "list": _is_list,
    "numbered_list": _is_numbered_list,
    "no_list": lambda text: not _is_list(text),
    "no_markdown": lambda text: not _MARKDOWN.search(text),
    "headings": _has_headings,
    "no_headings": lambda text: not _has_headings(text),
    "table": _has_table,
    "letter": _is_letter,
}
