"""Demands of length in English requests: words, characters, lines, sentences and parts."""

import re
from collections.abc import Iterator

from quillgraph.agents.checks.count import (
    CharCount,
    CountRange,
    LineCount,
    ListCount,
    ParagraphCount,
    SectionCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.checks.demand import Demand, about, around, unquoted
from quillgraph.agents.checks.en.numerals import NUMBER, read_number
from quillgraph.agents.checks.en.wording import WORDING

_AT_MOST = (
    r"(?:no|not) (?:more|longer|greater) than|(?:do |must |should |may "
    r"|can)?not (?:to )?exceed(?:ing)?"
    r"|don't exceed|under|below|less than|fewer than|up to|at most|within"
    r"|(?:a )?max(?:imum)?\.?(?: of)?"
    r"|max(?:imum)? (?:length|word count)(?: is| of|:)?|word limit(?: is| of|:)?"
    r"|limit(?:ed)? (?:it )?to|limit of|upper limit of|capped at"
)
_AT_LEAST = (
    r"at leas[te]|no less than|no fewer than|not (?:less|fewer) than|(?:a )?min(?:imum)?\.?(?: of)?"
    r"|min(?:imum)? (?:length|word count)(?: is| of|:)?|more than|over|above|exceed(?:ing|s)?"
    r"|upwards of|longer than"
)
_ABOUT = r"about|around|approximately|approx\.?|roughly|circa|nearly|almost|close to|some|~|≈"
_EXACTLY = r"exactly|precisely|strictly"
_SUFFIX_MOST = r"or (?:less|fewer|under|shorter)|max(?:imum)?\b|at most|tops|limit\b"
_SUFFIX_LEAST = r"or (?:more|longer|above)|min(?:imum)?\b|at least|and above|\+"
_UNIT = (
    r"(?P<word>words?)|(?P<character>characters?)|(?P<line>lines?)|(?P<sentence>sentences?)"
    r"|(?P<paragraph>paragraphs?)|(?P<stanza>stanzas?)|(?P<section>sections?|chapters?|parts?)"
    r"|(?P<list>(?:bullet(?:ed)?[- ]?)points?|bullets)"
)
_COUNT = re.compile(
    rf"(?<![\w.,$£€#%-])(?:(?:(?P<most>{_AT_MOST})|(?P<least>{_AT_LEAST})|(?P<about>{_ABOUT})"
    rf"|(?P<exact>{_EXACTLY})|(?P<between>between))\s*)?"
    rf"(?P<n>{NUMBER})(?P<plus>\+)?(?:\s*(?:-|–|—|~|to|and)\s*(?P<m>{NUMBER}))?"
    rf"(?P<hyphen>\s*-\s*|\s+)(?:(?:short|long|full|complete|brief|distinct|separate|different|main|key|clear|crisp|concise"
    rf"|English|rhyming)\s+)?(?:{_UNIT})\b"
    rf"(?P<suffix>\s*\(?(?:(?P<smost>{_SUFFIX_MOST})|(?P<sleast>{_SUFFIX_LEAST})))?",
    re.IGNORECASE,
)
_CHECKS: dict[str, type[CountRange]] = {
    "word": WordCount,
    "character": CharCount,
    "line": LineCount,
    "sentence": SentenceCount,
    "paragraph": ParagraphCount,
    "stanza": StanzaCount,
    "section": SectionCount,
    "list": ListCount,
}
MAKING = (
    r"\b(?:write|writing|compose|create|craft|draft|generate|produce|make|prepare|give|provide|need"
    r"|want|develop|brainstorm|design|establish|expand|rewrite|summari[sz]e|tell|deliver|turn"
    r"|format"
    r"|construct|complete|present|do|build|come up with|looking for|would like|i'd like|continue"
    r"|describe|explain|respond|response|answer|reply|output)\b"
)
"""Pattern of the verbs by which a text is asked for."""
_MAKING = re.compile(MAKING, re.IGNORECASE)
_MODAL = re.compile(
    r"\b(?:should|must|to|will|can|shall|needs?|please|ensure)\s+(?:\w+\s+){0,2}"
    r"(?:have|contain|be|exceed|reach|run|total|include|consist of)\s*$|\bhaving\s*$",
    re.IGNORECASE,
)
_TOPIC = re.compile(
    r"\b(?:about|on|regarding|concerning|from|who|that|which|where|when|because|inspired by|reads?"
    r"|receives?|finds?|found|sent)\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"\b(?:has|have|had|contain(?:s|ed)?|wrote|written|was|were|reads?|spent|spends|learn(?:ed|t"
    r"|s)?"
    r"|(?:my|this|our|original) (?:\w+ )?is(?: currently)?|knows?|knew|said|takes?|took|lost"
    r"|sent)\s*$|\b(?:these|those|the|first|last|next|this|that"
    r"|my"
    r"|his|her|their|our|its|following|of each|another|every|each|per|other|any|all|whole)\s*$",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:each|every|per|(?:intro(?:duction|ductory)?|conclu(?:sion|ding)|abstract|sections?"
    r"|chapters?|paragraphs?|stanzas?|verses?|chorus(?:es)?|hook|bridge|segments?|scenes?|headline"
    r"|title|heading|caption|slogan|tagline|bullet|parts?|body|opening|entry|entries))\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|several|some"
    r"|\d+)\s+(?:[a-z-]+\s+){0,2}[a-z]+s\b"
    r"[^,]*\b(?:with|of|in|under|within)\s*$",
    re.IGNORECASE,
)
"""Several texts are asked for, so that the length is that of one of them."""
_ITEM_NOTE = re.compile(r"^\s*(?:[-•*]|\d+[.)])[^,;:(]{1,40}\($")
"""A list item with a length in brackets behind it: the length of that part."""
_WHOLE = re.compile(
    r"\b(?:total|overall|entire|whole|full text|altogether|in all)\b", re.IGNORECASE
)
_PART_AFTER = re.compile(
    r"\s*(?:long\s*)?(?:,\s*)?(?:each\b|apiece\b|per\b|every\b|(?:for|in) (?:each|every)\b"
    r"|a (?:day|minute|week)\b"
    r"|(?:of|from) (?:dialog(?:ue)?|code|text|the|each|these|this|those|it|evidence|his|her"
    r"|their)\b"
    r"|for (?:the|an?) .{0,40}(?:section|part|chapter|introduction|conclusion|paragraph)\b"
    r"|apiece\b)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(r"\s*(?:that|which|rhyming|starting|beginning|related)\b", re.IGNORECASE)
"""What follows words that are looked for, as in "ten words that rhyme"."""
_NARRATED_AFTER = re.compile(
    r"\b(?:wrote|said|told|explained|described|complained)\b", re.IGNORECASE
)
_DIVIDED = re.compile(
    r"\b(?:divided?|split|organi[sz]ed?|structured?|separated?|broken)\b[^.]{0,20}\b(?:into"
    r"|in)\s*$",
    re.IGNORECASE,
)
_UNMARKED = re.compile(
    r"\b(?:story|plot|narrative|main (?:content|body|part)|body)\b", re.IGNORECASE
)
"""What is divided without showing it, or is itself a part."""
_ARRANGED = re.compile(
    rf"^\W*$|\b(?:in|into|as|us(?:e|ing))\s*$|{MAKING}\s+(?:me\s+)?$", re.IGNORECASE
)
"""What stands before bullets that are marks and not what guns shoot."""
_LEAD = re.compile(
    r"(?:^|[,:;(\[\-•*]|\b(?:in|with|of|into|using|write|compose|be|exactly|include|comprising|only"
    r"|consists? of|consisting of|to|create|make|just|give me|me|generate|an?|is|it|and|for))\s*$",
    re.IGNORECASE,
)


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text is to be, and of how many lines, paragraphs or sections."""
    spoken = unquoted(text)
    for match in _COUNT.finditer(spoken):
        before, after = around(spoken, match.start(), match.end())
        if not _is_demanded(match, before, after):
            continue
        demand = _demand(match)
        if demand:
            yield demand


def _unit(match: re.Match[str]) -> str:
    return next(unit for unit in _CHECKS if match[unit])


def _is_qualified(match: re.Match[str]) -> bool:
    groups = ("most", "least", "about", "exact", "between", "m", "smost", "sleast", "plus")
    return any(match[group] for group in groups)


def _is_demanded(match: re.Match[str], before: str, after: str) -> bool:
    """Whether the count is asked of the whole text, and not told of something else."""
    if _REPORTED.search(before) and not _MODAL.search(before):
        return False
    if _PART_AFTER.match(after) or _is_of_a_part(before, after):
        return False
    if _NARRATED_AFTER.search(after) and not _MAKING.search(before):
        return False
    unit = _unit(match)
    if unit == "word" and _CHOSEN.match(after):
        return False
    if unit == "section":
        return bool(_DIVIDED.search(before)) and not _UNMARKED.search(before)
    if unit == "list" and match["list"].casefold() == "bullets" and not _ARRANGED.search(before):
        return False
    if unit == "character":
        return bool(match["smost"] or match["most"]) and (read_number(match["n"]) or 0) >= 50
    if "-" in match["hyphen"] or (re.match(r"\s+[a-z]", after) and unit == "word"):
        return _is_wanted(before, after, attributive="-" in match["hyphen"])
    if unit == "word":
        return _is_qualified(match) or bool(_LEAD.search(before) or _MODAL.search(before))
    return bool(_LEAD.search(before) or _MODAL.search(before)) and _is_wanted(before, after)


def _is_wanted(before: str, after: str, *, attributive: bool = False) -> bool:
    """Whether the thing so long is what the request asks for, rather than its topic."""
    verbs = list(_MAKING.finditer(before))
    if verbs:
        return not (_TOPIC.search(before, verbs[-1].end()))
    if attributive:
        return re.fullmatch(r"\W*(?:an?\s+)?(?:\w+\s+)?", before) is not None
    return not _TOPIC.search(before) or before.rstrip().endswith(",")


def _is_of_a_part(before: str, after: str) -> bool:
    clause = re.split(r"[,;:(]", before)[-1]
    if _SEVERAL.search(clause) or _ITEM_NOTE.search(before):
        return True
    if _WHOLE.search(clause) or _WHOLE.search(after[:40]):
        return False
    part = _PART.search(clause)
    return part is not None and not _MAKING.search(clause[: part.start()])


def _demand(match: re.Match[str]) -> Demand | None:
    unit, low, high = _unit(match), read_number(match["n"]), read_number(match["m"] or "")
    if not low or (match["m"] and (not high or high < low)):
        return None
    is_about = not high and _is_about(match, unit)
    least, most = (low, high) if high else _bounds(match, low, is_about=is_about)
    fields: dict[str, int | str | None] = {"min": least, "max": most}
    if unit == "character":
        fields["unit"] = "character"
    check = _CHECKS[unit].model_validate(fields)
    name = WORDING.about_name(check.type, low) if is_about else check.name_in(WORDING)
    return Demand(check=check, name=name, start=match.start(), end=match.end())


def _is_about(match: re.Match[str], unit: str) -> bool:
    groups = ("most", "least", "exact", "smost", "sleast", "plus")
    if any(match[group] for group in groups):
        return False
    # a bare number of words is never meant to the word, one of lines or paragraphs is
    return bool(match["about"]) or unit == "word"


def _bounds(match: re.Match[str], count: int, *, is_about: bool) -> tuple[int | None, int | None]:
    if is_about:
        return about(count)
    if match["most"] or match["smost"]:
        return None, count
    if match["least"] or match["sleast"] or match["plus"]:
        return count, None
    return count, count
