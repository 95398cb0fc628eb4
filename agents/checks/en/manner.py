"""Demands in English requests on who tells, who speaks, in which language and in which form."""

import re
from collections.abc import Iterator

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import LineCount
from quillgraph.agents.checks.demand import Demand, around, unquoted
from quillgraph.agents.checks.en.quantities import MAKE as MAKING
from quillgraph.agents.checks.en.wording import LANGUAGE_CODES, WORDING
from quillgraph.agents.checks.manner import ClassicalVerse, Dialogue, Format, Person, WrittenIn

_FLAGS = re.IGNORECASE
_NEGATED = re.compile(r"\b(?:not|n't|without|avoid\w*|never|no)\b[^.,;]{0,20}$", _FLAGS)
_NO_DIALOGUE = re.compile(
    r"\b(?:no|without(?: any| using)?|(?:do not|don't) (?:use|include|write|add)(?: any)?"
    r"|avoid(?: any| using)?)"
    r"\s+(?:direct\s+|spoken\s+)?dialogues?\b",
    _FLAGS,
)
_DIALOGUE = re.compile(
    r"\b(?:include|with|add|using|use|incorporate|features?|contains?|frequent|lots of|plenty of"
    r"|some)\s+"
    r"(?:some |more |natural |realistic |witty |appropriate |character |direct |frequent "
    r"|lots of |plenty of )*"
    r"dialog(?:ue)?s?\b(?!\s+(?:box|tree|option|system))|\bdialogue[- ](?:form|format|driven"
    r"|heavy)\b"
    r"|\b(?:write|create|generate|compose|make)\s+(?:me\s+)?(?:an?\s+)?(?:[\w-]+\s+){0,4}"
    r"(?:dialog(?:ue)?|conversation)\b"
    r"(?=\s+(?:between|where|in which|about|of|among|with|featuring|\())"
    r"|\bfocus on dialog(?:ue)?s?\b",
    _FLAGS,
)
_PERSON = re.compile(
    r"\b(?:in|from|use|using|with|told in|through)\s+(?:the\s+|a\s+)?(?P<a>first|second|third|1st"
    r"|2nd|3rd)[- ]person\b"
    r"|\b(?P<b>first|second|third|1st|2nd|3rd)[- ]person\s+(?:\w+\s+)?(?:perspective"
    r"|point of view|pov|narrat\w+"
    r"|voice|story|detective story|view)\b",
    _FLAGS,
)
_TOLD = re.compile(
    r"\b(?:(?:her|his|their|whose|the author's) [\w ]{1,20}|novels|books|works) (?:is|are|was"
    r"|were)\b"
    r"|\b(?:often|usually|famous|known|tends?|about (?:the|a|an))\b[^,;]*$",
    _FLAGS,
)
"""What says how others write."""
_ORDINALS = {"first": "first", "second": "second", "third": "third"} | {
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
}
_LANGUAGE = re.compile(
    rf"\b(?:in|into)\s+(?P<language>{'|'.join(LANGUAGE_CODES)})(?=\s*(?:[.,;:!?)\n]|$|(?:and|with"
    rf"|about|using|that"
    r"|so|for|language|only)\b))",
    _FLAGS,
)
_FORMS: tuple[tuple[str, Check], ...] = (
    (
        r"(?:no|without|avoid(?: using)?|(?:do not|don't) use)(?: any)? (?:bullet points?|bullets"
        r"|bullet lists?|lists)",
        Format(form="no_list"),
    ),
    (
        r"(?:as|in|into)(?: the form of)? (?:a |an )?numbered (?:list|points)",
        Format(form="numbered_list"),
    ),
    (
        r"(?:as|in|into)(?: the form of)? (?:a "
        r"|an )?(?:bullet(?:ed)?[- ]?(?:point(?:ed)?)? ?)?list(?: form(?:at)?)?"
        r"|(?:in|as|use|using) bullet(?:ed)?[- ]?points?",
        Format(form="list"),
    ),
    (
        r"(?:no|without|avoid(?: using)?|(?:do not|don't) use)(?: any)? markdown(?: formatting)?"
        r"|in plain text",
        Format(form="no_markdown"),
    ),
    (
        r"(?:in|as|into)(?: the form of)? an? (?:(?:markdown|simple|comparison|summary"
        r"|single) )?table"
        r"(?: form(?:at)?)?(?! of contents)|in (?:a )?tabular form(?:at)?"
        r"|(?:output|include|add|provide|insert|present|create|generate|with)(?: me)? an? "
        r"(?:markdown|comparison|summary|pricing) table"
        r"|(?:include|add|insert) an? table(?= (?:comparing|of|with|that|showing|listing|for)\b"
        r"|\s*[.,;]|\s*$)(?! of contents)",
        Format(form="table"),
    ),
    (
        r"(?:no|without(?: any)?|(?:do not|don't) use(?: any)?) (?:sub)?headings",
        Format(form="no_headings"),
    ),
    (
        r"(?:with|use|using|include)(?: clear| appropriate)? (?:section |sub)?headings",
        Format(form="headings"),
    ),
    (
        r"in the form(?:at)? of a letter|(?:write|compose"
        r"|draft)(?: me)? an? (?:\w+ ){0,3}letter(?= (?:to|from|for|of)\b)",
        Format(form="letter"),
    ),
)
_POEMS: tuple[tuple[str, Check], ...] = (
    (r"haiku(?:s? poem)?", LineCount(min=3, max=3)),
    (r"limerick", LineCount(min=5, max=5)),
    (r"sonnet", LineCount(min=14, max=14)),
    (r"villanelle", LineCount(min=19, max=19)),
    (r"cinquain", LineCount(min=5, max=5)),
    (r"seven-character quatrain", ClassicalVerse(lines=4, characters=7)),
    (r"five-character quatrain", ClassicalVerse(lines=4, characters=5)),
    (r"seven-character (?:regulated verse|l[üu]shi)", ClassicalVerse(lines=8, characters=7)),
    (r"five-character (?:regulated verse|l[üu]shi)", ClassicalVerse(lines=8, characters=5)),
    (r"quatrain", LineCount(min=4, max=4)),
    (r"couplet", LineCount(min=2, max=2)),
)
_ONE_POEM = re.compile(
    r"(?:\b(?:write|writing|compose|create|craft|draft|generate|make|pen|give|tell|need|want|like"
    r"|produce)\s+(?:(?:me|us|him|her|them|for \w+)\s+)?(?:an?|one)\s+"
    r"|\b(?:in(?:to)?|as)\s+(?:the form of )?(?:an?)\s+"
    r"|^\W*(?:an?\s+|(?=(?:haiku|limerick|sonnet)\b)))"
    r"(?P<before>(?:[a-z'-]+,?\s+){0,3}?)"
    rf"(?:{'|'.join(f'(?P<p{at}>{form})' for at, (form, _) in enumerate(_POEMS))})"
    r"(?=\s*(?:[.,;:!?)(\n–—]|$)|\s+(?:poem\s+)?(?:about|on|for|to|in|of|from|with|by|using|where"
    r"|that|which|whose|titled|called|inspired|as|and|or|set|based|at|dedicated|exploring|but"
    r"|[a-z]+ing)\b)",
    _FLAGS,
)
_NO_POEM = re.compile(
    r"\b(?:how (?:to|do|can|I|one)|when I|if I|don't|not|never|who|to learn to|trying to)\b"
    r"[^.;,]{0,20}$",
    _FLAGS,
)
"""What stands before a poem that is spoken about."""
_MORE_TEXT = re.compile(
    r"[^.!?\n]{0,60}?(?:\b(?:and|then|plus|followed by|along with|together with|or)\s+(?:then\s+)?"
    r"(?:an?|one|two|three|\d+|the|explain|describe|write|translate|give|analy[sz]e)\b"
    r"(?! (?:moral|twist|bit|touch|sense|hint|title|hopeful|happy|sad|rhym))|\bfor (?:each|every)\b"
    r"|\b(?:per|each)\b)",
    _FLAGS,
)
"""What is asked for besides the poem, so that it is not the whole text."""


def _demand(check: Check, start: int, end: int) -> Demand:
    return Demand(check=check, name=check.name_in(WORDING), start=start, end=end)


def dialogue(text: str) -> Iterator[Demand]:
    """Find whether people are to speak in the text."""
    spoken = unquoted(text)
    for match in _NO_DIALOGUE.finditer(spoken):
        yield _demand(Dialogue(present=False), match.start(), match.end())
    for match in _DIALOGUE.finditer(spoken):
        before, _ = around(spoken, match.start(), match.end())
        if not _NEGATED.search(before):
            yield _demand(Dialogue(present=True), match.start(), match.end())


def person(text: str) -> Iterator[Demand]:
    """Find the grammatical person that the text is to be told in."""
    spoken = unquoted(text)
    for match in _PERSON.finditer(spoken):
        before, _ = around(spoken, match.start(), match.end())
        # a heading of pasted material names a person without asking for it
        is_demanded = match["a"] or re.search(MAKING, before, _FLAGS) or len(before.split()) <= 1
        is_told = _TOLD.search(before) is not None
        if is_demanded and not is_told and not _NEGATED.search(before):
            ordinal = _ORDINALS[(match["a"] or match["b"]).casefold()]
            check = Person.model_validate({"person": ordinal})
            yield _demand(check, match.start(), match.end())


def language(text: str) -> Iterator[Demand]:
    """Find the language that the text is to be written in."""
    spoken = unquoted(text)
    for match in _LANGUAGE.finditer(spoken):
        before, _ = around(spoken, match.start(), match.end())
        verbs = list(re.finditer(MAKING + r"|\b(?:translate|introduce|speak)\b", before, _FLAGS))
        far = len(before) - verbs[-1].end() if verbs else 0
        short = not verbs and len(before.split()) <= 2
        is_reported = re.search(
            r"\b(?:who|that|which|movie|film|speaking|reading|habits?|class)\b", before, _FLAGS
        )
        if (verbs or short) and far < 120 and not is_reported and not _NEGATED.search(before):
            check = WrittenIn(language=LANGUAGE_CODES[match["language"].casefold()])
            yield _demand(check, match.start(), match.end())


def forms(text: str) -> Iterator[Demand]:
    """Find demands on the outer form: lists, tables, headings, letters."""
    spoken = unquoted(text)
    for pattern, check in _FORMS:
        for match in re.finditer(rf"\b(?:{pattern})\b", spoken, _FLAGS):
            before, _ = around(spoken, match.start(), match.end())
            if not (
                _NEGATED.search(before) or re.search(r"\b(?:who|that|he|she)\b", before, _FLAGS)
            ):
                yield _demand(check, match.start(), match.end())


def poems(text: str) -> Iterator[Demand]:
    """Find poems whose form fixes the number of lines: a haiku, a sonnet, a limerick."""
    spoken = unquoted(text)
    for match in _ONE_POEM.finditer(spoken):
        at = next(at for at in range(len(_POEMS)) if match[f"p{at}"])
        before, after = around(spoken, match.start(), match.end())
        if re.search(
            r"\b(?:that|which|who|about|where|with|of|on|to|for|includ\w+)\b",
            match["before"],
            _FLAGS,
        ):
            continue  # a sonnet in the story is not the whole text
        if _NO_POEM.search(before) or _MORE_TEXT.match(after):
            continue
        yield _demand(_POEMS[at][1], match.start(), match.end())
