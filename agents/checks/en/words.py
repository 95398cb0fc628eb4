"""Demands in English requests on the very words: to include, to leave out, to start or end with."""

import re
from collections.abc import Iterator

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.demand import Demand, around, quoted_terms, unquoted
from quillgraph.agents.checks.en.wording import WORDING
from quillgraph.agents.checks.words import Ending, MustInclude, MustNotInclude, Opening
from quillgraph.agents.text.sentences import quotations

_FLAGS = re.IGNORECASE
_JOINER = re.compile(r"\s*(?:,|;|/|&)?\s*(?:and|or|&)?\s*(?=[“\"‘'«])")
_NOUN = (
    r"(?:(?:key ?)?words?|phrases?|terms?|clich[ée]s?|buzzwords?|names?|sentences?|lines?"
    r"|quotes?|expressions?|hashtags?|letters?)"
)
_NEGATED = re.compile(r"\b(?:not|n't|without|avoid\w*|never|no)\b[^.,;]{0,20}$", _FLAGS)
_PER_PART = re.compile(r"\b(?:each|every|per|if|when|whenever)\b[^.;]*$", _FLAGS)
_OF_A_PART = re.compile(
    r"\b(?:each|every|per|if|all|lines?|chorus|verse|stanza|paragraphs?|sentences?"
    r"|questions?|names?|words?)\b[^.;]*$",
    _FLAGS,
)
_EXAMPLES = re.compile(r"\b(?:like|such as|e\.g\.?|for example|similar to)\W*$", _FLAGS)

_INCLUDED = re.compile(
    rf"\b(?:includ(?:e|es|ing)|us(?:e|es|ing)|mention(?:s|ing)?|contain(?:s|ing)?|incorporat(?:e"
    rf"|ing))\s+"
    rf"(?:all |both )?(?:of )?(?:the |these |following |exact |key)*{_NOUN}?(?: following)?\s*:?\s*"
    r"(?=[“\"‘'«])",
    _FLAGS,
)
_USING_LIST = re.compile(
    r"\b(?:using|use|include|contain|incorporate|with)\s+(?:all\s+)?(?:of\s+)?(?:these"
    r"|the following)\s+(?:\w+\s+)?(?:key ?words|words|key ?phrases|phrases|terms)"
    r"(?:\s+in \w+ \w+)?\s*[:：]\s*(?P<list>[^.!?“\"]+)",
    _FLAGS,
)
_MENTION = re.compile(
    r"\b(?P<no>(?:do not|don't|never|without|avoid)\s+)?mention(?:ing)?\s+(?:of\s+)?"
    r"(?P<term>(?:the|an?)\s+[a-z][\w-]+|[a-z][\w'-]+(?:\s+[a-z][\w'-]+)?)(?=\s*(?:[.;!\n]|$"
    r"|,\s*(?:and|but)\b))",
    _FLAGS,
)
_ABSTRACT = re.compile(
    r"\b(?:importance|benefits?|reasons?|role|impact|background|details?|name|names|fact|facts"
    r"|history"
    r"|above|following|it|this|that|them|him|her|how|why|what|where|any|all|some|specific"
    r"|examples?|same"
    r"|points?|issues?|following|other|your|my|his|their|its|our|these|those|each|something"
    r"|anything"
    r"|location|date|time|topic|subject|end|scenario|context|author|sources?|key|main)\b",
    _FLAGS,
)
_EXCLUDED = re.compile(
    rf"\b(?:without|avoid(?:ing)?|do not|don't|never|must not|should not|shouldn't|cannot|can't)\s+"
    rf"(?:ever\s+)?(?:(?:us(?:e|ing)|includ(?:e|ing)|say(?:ing)?|mention(?:ing)?|writ(?:e|ing)"
    rf"|contain(?:ing)?)\s+)?"
    rf"(?:[^\s,.;\"“]+ (?:and|or) )?(?:any of |the |these |any |following |cliché "
    rf"|overused )*(?P<noun>{_NOUN})?(?:\s+(?:like"
    rf"|such as))?"
    r"\s*:?\s*(?:(?=[“\"‘'«])|(?P<bare>(?-i:[A-Za-z])\b(?![\w'])|[a-z]+(?=\s*(?:[.,;!]|$))))",
    _FLAGS,
)
_NAMES = re.compile(
    r"\b(?:never|do not|don't|avoid)\s+(?:us(?:e|ing)\s+)?(?:the\s+)?(?:names?|words?)[: ]\s*"
    r"(?-i:(?P<list>[A-Z][a-z]+(?:,\s*(?:and\s+|or\s+)?[A-Z][a-z]+)+))",
    _FLAGS,
)
_STARTS = re.compile(
    r"\b(?P<end>end|ends|ending|conclude|finish|close)?(?:begin|begins|beginning|start|starts"
    r"|starting|open"
    r"|opens)?(?:\s+(?:it|the \w+|your \w+))?\s+with\s+(?:the\s+)?(?:exact\s+)?"
    r"(?:words?|sentence|phrase|line|question)?\s*:?\s*(?=[“\"])",
    _FLAGS,
)
_PLACE = r"(?P<place>first|opening|last|final|closing)\s+(?:sentence|line|words?|phrase)s?"
_IS_EDGE = re.compile(
    rf"\b{_PLACE}(?: of (?:the|your) \w+)?\s+(?:should|must|has to|have to|needs? to|shall|will)\s+"
    r"(?:be|read|say)(?: exactly)?\s*[:,]?\s*(?=[“\"])",
    _FLAGS,
)
_AS_EDGE = re.compile(
    rf"\s*(?:as|(?:should|must|has to|needs to)\s+be)\s+(?:the|your)\s+{_PLACE}", _FLAGS
)
_STARTING_VERB = re.compile(r"\b(?:begin|start|open|end|conclud|finish|clos)", _FLAGS)


def _demand(check: Check, start: int, end: int) -> Demand:
    return Demand(check=check, name=check.name_in(WORDING), start=start, end=end)


def included_words(text: str) -> Iterator[Demand]:
    """Find the words that must stand in the text: quoted ones, lists, plain things to mention."""
    for match in _INCLUDED.finditer(text):
        before, _ = around(text, match.start(), match.end())
        if _NEGATED.search(before) or _PER_PART.search(before) or _EXAMPLES.search(match[0]):
            continue
        named = re.search(_NOUN, match[0], _FLAGS) or match[0].lower().startswith("mention")
        terms, end = quoted_terms(text, match.end(), _JOINER)
        if terms and named:
            yield _demand(_included(terms, text[match.end() : end]), match.start(), end)
    for match in _USING_LIST.finditer(text):
        words = [word.strip(" -•*\t") for word in re.split(r"[,\n、]|\band\b", match["list"])]
        words = [word for word in words if word]
        if len(words) > 1 and all(len(word.split()) <= 3 for word in words):
            end = match.start() + len(match[0].rstrip())
            yield _demand(MustInclude(terms=tuple(words)), match.start(), end)
    yield from _mentioned(text)


def _included(terms: list[str], row: str) -> MustInclude:
    if re.search(r"[”\"’'»]\s*,?\s*or\s", row):
        return MustInclude(any_of=tuple(terms))
    return MustInclude(terms=tuple(terms))


def _mentioned(text: str) -> Iterator[Demand]:
    spoken = unquoted(text)
    for match in _MENTION.finditer(spoken):
        before, _ = around(spoken, match.start(), match.end())
        if _ABSTRACT.search(match["term"]) or _PER_PART.search(before) or "\x00" in match["term"]:
            continue
        negated = bool(match["no"] or _NEGATED.search(before))
        if not negated and not re.search(
            r"(?:^|[\W]|must|should|to|please|and|also)\s*$", before, _FLAGS
        ):
            continue
        term = re.sub(r"^(?:the|an?)\s+", "", match["term"], flags=_FLAGS)
        check = MustNotInclude(terms=(term,)) if negated else MustInclude(terms=(term,))
        yield _demand(check, match.start(), match.end())


def excluded_words(text: str) -> Iterator[Demand]:
    """Find the words and letters that must not stand in the text."""
    for match in _EXCLUDED.finditer(text):
        if not match["noun"] and match["bare"] is not None:
            continue
        terms, end = (
            ([match["bare"]], match.end())
            if match["bare"]
            else quoted_terms(text, match.end(), _JOINER)
        )
        verb_or_noun = match["noun"] or re.search(r"\b(?:us|say|mention|includ)", match[0], _FLAGS)
        if not terms or not verb_or_noun or (match["bare"] and len(match["bare"]) in (2, 3)):
            continue
        letters = all(len(term) == 1 and term.isalpha() for term in terms)
        yield _demand(MustNotInclude(terms=tuple(terms), anywhere=letters), match.start(), end)
    for match in _NAMES.finditer(text):
        names = tuple(re.split(r",\s*(?:and\s+|or\s+)?", match["list"]))
        yield _demand(MustNotInclude(terms=names), match.start(), match.end())


def edges(text: str) -> Iterator[Demand]:
    """Find the quoted words that the text is to start or end with."""
    for match in _STARTS.finditer(text):
        before, _ = around(text, match.start(), match.end())
        if _OF_A_PART.search(before) or not _STARTING_VERB.search(match[0]):
            continue
        terms, end = quoted_terms(text, match.end(), re.compile("(?!)"))
        if terms:
            yield _demand(_edge(terms[0], is_end=bool(match["end"])), match.start(), end)
    for match in _IS_EDGE.finditer(text):
        before, _ = around(text, match.start(), match.end())
        terms, end = quoted_terms(text, match.end(), re.compile("(?!)"))
        if terms and not _OF_A_PART.search(before):
            check = _edge(terms[0], is_end=match["place"].casefold() in _LAST)
            yield _demand(check, match.start(), end)
    for start, stop in quotations(text):
        place = _AS_EDGE.match(text, stop)
        before, _ = around(text, start, stop)
        if place and re.search(r"(?:^|\buse|\busing)\s*$", before, _FLAGS):
            terms, _ = quoted_terms(text, start, re.compile("(?!)"))
            if terms:
                check = _edge(terms[0], is_end=place["place"].casefold() in _LAST)
                yield _demand(check, start, place.end())


_LAST = ("last", "final", "closing")


def _edge(words: str, *, is_end: bool) -> Check:
    return Ending(text=words) if is_end else Opening(text=words)
