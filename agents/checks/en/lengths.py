"""Demands of length in English requests: words, characters, lines, sentences and parts."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from quillgraph.agents.checks.count import ListCount
from quillgraph.agents.checks.demand import Demand, around, count_demand, tell_unclear, unquoted
from quillgraph.agents.checks.en.quantities import MAKE, TEXT, WORDS
from quillgraph.agents.checks.en.reported import (
    is_asked_of_part,
    is_asked_of_whole,
    is_of_another_noun,
)
from quillgraph.agents.checks.en.scopes import aim_of
from quillgraph.agents.checks.en.wording import WORDING
from quillgraph.agents.checks.quantity import Quantity, Token, quantities, tokens_of
from quillgraph.agents.checks.scope import Scope

_FLAGS = re.IGNORECASE
_ITEM_NOTE = re.compile(r"^\s*(?:[-•*]|\d+[.)])[^,;:(]{1,40}\($")
"""A list item with a length in brackets behind it: the length of that part."""
_SEVERAL_MADE = re.compile(
    rf"{MAKE}\s+(?:me\s+|us\s+)?(?:two|three|four|five|six|seven|eight|nine|ten|several|multiple"
    r"|a (?:few|series|set|couple) of|\d+)\s+(?:(?!words?|lines?|paragraphs?|sentences?|pages?"
    rf"|stanzas?|characters?)[\w-]+\s+){{0,3}}?{TEXT}(?<=s)\b",
    _FLAGS,
)
_LISTS = re.compile(
    r"\b(?:(?:write|give|make|create|generate|need|want|draft|compile|provide)\b(?: me| us)?|^\W*)"
    r"[^.;,]{0,16}?\blist of (?:the )?(?P<n>\w+)\s+(?:[a-z'-]+\s+){0,2}?[a-z]+s\b"
    r"|\blisticle (?:of|with) (?P<m>\w+)\s+(?:[a-z'-]+\s+){0,2}?[a-z]+s\b",
    _FLAGS,
)


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text or a part of it is to be, and of how many lines or paragraphs."""
    spoken = unquoted(text)
    tokens = tokens_of(spoken, WORDS)
    several = _SEVERAL_MADE.search(spoken)
    for quantity in quantities(tokens, WORDS):
        aim = aim_of(quantity, tokens)
        before, after = _sides(quantity, tokens, spoken)
        start, end = tokens[quantity.first].start, tokens[quantity.last - 1].end
        if aim == "whole" and is_of_another_noun(before, spoken):
            aim = "unclear"
        if aim == "unclear" or _ITEM_NOTE.search(_line(spoken, start)):
            tell_unclear(spoken[start:end])
            continue
        if isinstance(aim, Scope) and _is_made_itself(aim, spoken):
            aim = "whole"
        if several and isinstance(aim, Scope) and (aim.at or aim.part in ("title", "label")):
            continue  # each text has one of its own
        if isinstance(aim, Scope):
            if is_asked_of_part(quantity, before, after):
                demand = count_demand(quantity, tokens, aim, WORDING, unit=quantity.unit or "word")
                # the words that name the part belong to its quote
                yield replace(demand, start=demand.start - len(_clause(before)))
        elif is_asked_of_whole(quantity, tokens, before, after):
            yield count_demand(quantity, tokens, None, WORDING, unit=quantity.unit or "word")


def lists(text: str) -> Iterator[Demand]:
    """Find how many items a list is to have that is asked for as a list."""
    for match in _LISTS.finditer(unquoted(text)):
        number = WORDS.read(match["n"] or match["m"])
        if number:
            check = ListCount(min=number[0], max=number[0])
            yield Demand(check, check.name_in(WORDING), match.start(), match.end())


def _is_made_itself(scope: Scope, text: str) -> bool:
    """Whether the request asks for a title or an abstract and no more than that."""
    names = ("title", "headline") if scope.part == "title" else scope.labels
    pattern = (
        rf"{MAKE}\s+(?:me\s+)?(?:(?:an?|the|one|my|this)\s+)?(?:[\w-]+\s+){{0,2}}?"
        rf"(?:{'|'.join(names)})\b"
    )
    made = re.search(pattern, text, _FLAGS) if names else None
    return made is not None and not re.search(rf"{TEXT}|\b(?:with|and|of)\b", made[0], _FLAGS)


def _line(text: str, start: int) -> str:
    """What stands before a place in its line."""
    return text[text.rfind("\n", 0, start) + 1 : start][-200:]


def _clause(before: str) -> str:
    """What stands before a quantity in its clause."""
    return re.split(r"[,;(—]", before)[-1].lstrip()


def _sides(quantity: Quantity, tokens: Sequence[Token], text: str) -> tuple[str, str]:
    start, end = tokens[quantity.first].start, tokens[quantity.last - 1].end
    return around(text, start, end)
