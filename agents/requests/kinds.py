"""What kind of thing a phrase of a request names, and the circumstances that the request sets.

A lens fits some kinds only: a baker can have wishes of their own, a toast cannot. The rules are
word lists, so that anybody can see why a phrase was taken for what; what they do not know is
a thing.
"""

import re
from collections.abc import Sequence
from typing import Literal

from quillgraph.agents.checks.count import (
    CharCount,
    CountRange,
    LineCount,
    ListCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.checks.language import DEFAULT, PhraseKind, language_in_script
from quillgraph.agents.checks.manner import ClassicalVerse, Dialogue
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.agents.text.phrases import is_negated, is_placed

Circumstance = Literal["verse", "brief", "practical", "sober", "silent"]
"""Silent is a text in which nobody but the writer speaks, a letter or one without dialogue."""

FEWEST_LINES, FEWEST_WORDS, FEWEST_CHARACTERS = 10, 60, 100
"""A text held shorter than this is brief: there is no room for people to talk. A Chinese
character is about 0.6 words (`LETTERS_PER_CHARACTER`)."""

# The patterns below are read in both languages of ours at once: requests mix them.
_FACT = re.compile(
    r"^[\d０-９]|^(?:one|two|three|four|five|six|seven|eight|nine|ten)\s+(?:\w+\s+)?(?:words?|lines?"
    r"|sentences?|paragraphs?|bullets?|points?|stanzas?|pages?|minutes?)$"
    r"|^(?:mon|tues|wednes|thurs|fri|satur|sun)day$|\b\d+\s*[ap]\.?m\b"
    r"|^[一二三四五六七八九十百千万两]+个?(?:字|行|段|句|篇|页|条|点|要点|部分)|^(?:星期|周)[一二三四五六日天]",
    re.IGNORECASE,
)
_LENGTH = re.compile(r"^(?:very )?(?:short|long|brief|concise)$|^(?:简短|短小|篇幅.{0,4})$", re.I)
_VIEWPOINT = re.compile(
    r"\b(?:first|second|third)[- ]person\b|\bpoint of view\b|\bperspective$|\bviewpoint$|人称|视角",
    re.IGNORECASE,
)
_VERSE = re.compile(
    r"\b(?:poems?|poetry|verses?|haikus?|sonnets?|limericks?|ballads?|odes?|rhym\w+|lyrics|songs?"
    r"|quatrains?|couplets?)\b|诗|歌词|绝句|律诗|对联",
    re.IGNORECASE,
)
_PRACTICAL = re.compile(
    r"\b(?:memos?|memorandum|e-?mail|notice|announcement|report|manual|instructions"
    r"|minutes of|agenda|press release)\b|通知|公告|报告|备忘录|说明书|公文|纪要|申请书?|计划书"
    r"|方案",
    re.IGNORECASE,
)
_ONE_VOICE = re.compile(
    r"\b(?:letter|toast|speech|eulogy|diary|monologue)\b|家书|书信|封[^，。；]{0,12}信|演讲|日记|致辞|悼词|独白",
    re.IGNORECASE,
)
_SOBER = re.compile(
    r"\b(?:no|not|without|avoid\w*|never|don['’]t)\b[^.,;]{0,20}\b(?:jok|humou?r|funny|comic|witty)"
    r"|(?:不要|不得|不能|避免|切勿|不)[^，。；]{0,6}(?:搞笑|幽默|玩笑|笑话)|\bserious\b|严肃",
    re.IGNORECASE,
)


def kind_of(phrase: str, language: str = DEFAULT) -> PhraseKind:
    """Name what kind of thing a phrase is of.

    Args:
        phrase: Part of a request.
        language: Of the request; a phrase in Chinese characters is read as Chinese.
    """
    if is_negated(phrase):
        return "ban"
    if is_placed(phrase):
        return "edge"
    if _FACT.search(phrase):
        return "fact"
    if _LENGTH.search(phrase):
        return "length"
    if _VIEWPOINT.search(phrase):
        return "viewpoint"
    by_characters = re.search("[一-龥]", phrase) is not None
    return language_in_script(language, by_characters=by_characters).kind_of(phrase)


def circumstances(request: str, constraints: Sequence[Constraint]) -> frozenset[Circumstance]:
    """Tell what the request sets for the whole text, whatever phrase a lens is turned on."""
    checks = [constraint.check for constraint in constraints]
    held: set[Circumstance] = set()
    if _VERSE.search(request) or any(
        isinstance(check, ClassicalVerse)
        or (isinstance(check, LineCount | StanzaCount) and check.scope is None)
        for check in checks
    ):
        held.add("verse")
    if any(isinstance(check, CountRange) and _is_brief(check) for check in checks):
        held.add("brief")
    if _PRACTICAL.search(request):
        held.add("practical")
    if _SOBER.search(request):
        held.add("sober")
    if _ONE_VOICE.search(request) or any(
        isinstance(check, Dialogue) and not check.present for check in checks
    ):
        held.add("silent")
    return frozenset(held)


def _is_brief(check: CountRange) -> bool:
    if check.max is None or check.scope is not None:
        return False
    match check:
        case WordCount():
            return check.max < FEWEST_WORDS
        case CharCount(unit="zi"):
            return check.max < FEWEST_CHARACTERS
        case LineCount() | SentenceCount() | ListCount():
            return check.max < FEWEST_LINES
    return False
