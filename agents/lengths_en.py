"""Demands of length in English requests: words, characters, lines, sentences, paragraphs, …"""

import re
from collections.abc import Iterator

from quillgraph.agents.counts import (
    CharCount,
    CountRange,
    LineCount,
    ParagraphCount,
    SectionCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.demands import Demand, about, around, unquoted
from quillgraph.agents.numerals import NUMBER_EN, number
from quillgraph.agents.wording import about_name, name_of

_AT_MOST = (
    r"(?:no|not) (?:more|longer|greater) than|(?:do |must |should |may |can)?not (?:to )?exceed(?:ing)?"
    r"|don't exceed|under|below|less than|fewer than|up to|at most|within|(?:a )?max(?:imum)?\.?(?: of)?"
    r"|limit(?:ed)? (?:it )?to|limit of|upper limit of|capped at"
)
_AT_LEAST = (
    r"at leas[te]|no less than|no fewer than|not (?:less|fewer) than|(?:a )?min(?:imum)?\.?(?: of)?"
    r"|more than|over|above|exceed(?:ing|s)?|upwards of|longer than"
)
_ABOUT = r"about|around|approximately|approx\.?|roughly|circa|nearly|almost|close to|some|~|≈"
_EXACTLY = r"exactly|precisely|strictly"
_SUFFIX_MOST = r"or (?:less|fewer|under|shorter)|max(?:imum)?\b|at most|tops|limit\b"
_SUFFIX_LEAST = r"or (?:more|longer|above)|min(?:imum)?\b|at least|and above|\+"
_UNIT = (
    r"(?P<word>words?)|(?P<character>characters?)|(?P<line>lines?)|(?P<sentence>sentences?)"
    r"|(?P<paragraph>paragraphs?)|(?P<stanza>stanzas?)|(?P<section>sections?|chapters?|parts?)"
)
_COUNT = re.compile(
    rf"(?<![\w.,$£€#%-])(?:(?:(?P<most>{_AT_MOST})|(?P<least>{_AT_LEAST})|(?P<about>{_ABOUT})"
    rf"|(?P<exact>{_EXACTLY})|(?P<between>between))\s*)?"
    rf"(?P<n>{NUMBER_EN})(?P<plus>\+)?(?:\s*(?:-|–|—|~|to|and)\s*(?P<m>{NUMBER_EN}))?"
    rf"(?P<hyphen>\s*-\s*|\s+)(?:(?:short|long|full|complete|brief|distinct|separate|different|main"
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
}
MAKING = (
    r"\b(?:write|writing|compose|create|craft|draft|generate|produce|make|prepare|give|provide|need"
    r"|want|develop|brainstorm|design|establish|expand|rewrite|summari[sz]e|tell|deliver|turn|format"
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
    r"\b(?:has|have|had|contain(?:s|ed)?|wrote|written|was|were|reads?|spent|spends|learn(?:ed|t|s)?"
    r"|knows?|knew|said|takes?|took|lost|sent)\s*$|\b(?:these|those|the|first|last|next|this|that|my"
    r"|his|her|their|our|its|following|of each|another|every|each|per|other|any|all|whole)\s*$",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:each|every|per|(?:intro(?:duction|ductory)?|conclu(?:sion|ding)|abstract|sections?"
    r"|chapters?|paragraphs?|stanzas?|verses?|chorus(?:es)?|hook|bridge|segments?|scenes?|headline"
    r"|title|heading|caption|slogan|tagline|bullet|parts?|body|opening|entry|entries|answers?))\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"\b(?:total|overall|entire|whole|full text|altogether|in all)\b", re.IGNORECASE)
_PART_AFTER = re.compile(
    r"\s*(?:long\s*)?(?:,\s*)?(?:each\b|apiece\b|per\b|every\b|(?:for|in) (?:each|every)\b|a (?:day|minute|week)\b"
    r"|(?:of|from) (?:dialog(?:ue)?|code|text|the|each|these|this|those|it|evidence|his|her|their)\b"
    r"|for (?:the|an?) .{0,40}(?:section|part|chapter|introduction|conclusion|paragraph)\b"
    r"|(?:that|which|rhyming|starting|beginning|related)\b)",
    re.IGNORECASE,
)
_NARRATED_AFTER = re.compile(r"\b(?:wrote|said|told|explained|described|complained)\b", re.IGNORECASE)
_DIVIDED = re.compile(
    r"\b(?:divided?|split|organi[sz]ed?|structured?|separated?|broken)\b[^.]{0,20}\b(?:into|in)\s*$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:^|[,:;(\-•*]|\b(?:in|with|of|into|using|write|compose|be|exactly|include|comprising|only"
    r"|consists? of|consisting of|to|create|make|just|give me|me|generate|an?|is|it|and|for))\s*$",
    re.IGNORECASE,
)
_FEWEST_BARE_WORDS = 3


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text is to be, and of how many lines, paragraphs or sections."""
    spoken = unquoted(text)
    for match in _COUNT.finditer(spoken):
        before, after = around(spoken, match.start(), match.end())
        if not _is_demanded(match, before, after):
            continue
        found = _demand(match)
        if found:
            yield found


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
    if unit == "section":
        return bool(_DIVIDED.search(before))
    if unit == "character":
        return bool(match["smost"] or match["most"]) and (number(match["n"]) or 0) >= 50
    if "-" in match["hyphen"] or re.match(r"\s+[a-z]", after) and unit == "word":
        return _is_made(before, after, attributive="-" in match["hyphen"])
    if unit == "word":
        return _is_qualified(match) or bool(_LEAD.search(before) or _MODAL.search(before))
    return bool(_LEAD.search(before) or _MODAL.search(before)) and _is_made(before, after)


def _is_made(before: str, after: str, *, attributive: bool = False) -> bool:
    """Whether the thing so long is what the request asks for, rather than its topic."""
    verbs = list(_MAKING.finditer(before))
    if verbs:
        return not (_TOPIC.search(before, verbs[-1].end()))
    if attributive:
        return re.fullmatch(r"\W*(?:an?\s+)?(?:\w+\s+)?", before) is not None
    return not _TOPIC.search(before) or before.rstrip().endswith(",")


def _is_of_a_part(before: str, after: str) -> bool:
    clause = re.split(r"[,;:(]", before)[-1]
    if _WHOLE.search(clause) or _WHOLE.search(after[:40]):
        return False
    part = _PART.search(clause)
    return part is not None and not _MAKING.search(clause[: part.start()])


def _demand(match: re.Match[str]) -> Demand | None:
    unit, low, high = _unit(match), number(match["n"]), number(match["m"] or "")
    if not low or (match["m"] and (not high or high < low)):
        return None
    check = _CHECKS[unit]
    fields: dict[str, int | str | None] = {}
    if unit == "character":
        fields["unit"] = "character"
    is_about = not high and _is_about(match, unit)
    fields["min"], fields["max"] = (low, high) if high else _bounds(match, low, is_about=is_about)
    made = check.model_validate(fields)
    name = about_name(low, f"{unit}_count" if unit != "character" else "char_count", chinese=False)
    return Demand(
        check=made,  # type: ignore[arg-type]  # the classes of _CHECKS are all in the union
        name=name if is_about else name_of(made, chinese=False),  # type: ignore[arg-type]  # as above
        start=match.start(),
        end=match.end(),
    )


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
