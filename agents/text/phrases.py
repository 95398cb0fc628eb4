"""Phrases of a passage, verbatim: what a criterion can be about."""

import re
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Phrasing:
    """How passages of one language are cut; lengths are in words, or in characters."""

    breaks: re.Pattern[str]
    """What stands between phrases: marks and function words."""
    edges: tuple[re.Pattern[str], ...]
    """What a phrase does not need, taken off in this order: articles, a verb before its object."""
    fewest_characters: int
    """Characters of the shortest phrase."""
    longest: int
    """Length of the longest phrase."""
    longest_rule: int
    """Length of the longest clause that is kept whole: one that says what must not be, or what must
    be at the beginning or the end."""
    longest_rest: int
    """Length of what is kept of a passage without a phrase."""
    by_characters: bool = False
    """Whether length is counted in characters, for a language without blanks between words."""
    also: tuple[str, ...] = ()
    """Codes of languages without rules of their own that are cut like this one."""

    def length(self, text: str) -> int:
        """Count the words, or the characters."""
        return len(text) if self.by_characters else len(text.split())

    def head(self, text: str, most: int) -> str:
        """Take the first words, or characters."""
        return text[:most] if self.by_characters else " ".join(text.split()[:most])


# Negations and places are read in both languages of ours at once: requests mix them, and a missed
# negation would turn a rule into its opposite.
_NEGATION = re.compile(
    r"\b(?:not(?! (?:only|just|merely|simply)\b)|no|never|without|avoid\w*|\w+n['’]t|cannot|nor)\b"
    r"|不要|不得|不能|切勿|避免|禁止|没有",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r"\b(?:following|requirements?|specific|especially|such|content|aspects?|points?|etc|example)\b"
    r"|^(?:help|more|most|some|many|also|only|other|another|first|next|finally|overall)$|^\w+ly$"
    r"|以下|如下|内容|要求|字数|具体",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"\b(?:end|ends|ending|begin|begins|beginning|start|starts|starting|open|opens|close|closes)"
    r"\s+(?:(?:it|the \w+)\s+)?(?:with|on|in|by|at)\b"
    r"|\b(?:first|last|opening|closing|final)\s+(?:two |three )?(?:lines?|sentences?|paragraphs?"
    r"|stanzas?|words?|scenes?)\b|\bat the (?:very )?(?:end|beginning|start)\b(?!\s+of\b)"
    r"|\bthe (?:ending|beginning|opening)\b(?!\s+of\b)"
    r"|结尾|结局|收尾|末尾|开头|开篇|最后一?[句段行]|第一[句段行]|首[句段]|末[句段]",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"[^.!?。！？；;\n]+[.!?。！？；;\n]*")
_CLAUSES = re.compile(
    r"[,，:：]|\s(?=(?:and|but)\s+(?:do not|don['’]t|never|avoid|without|no|not)\b)", re.IGNORECASE
)
_ADVERBIAL = re.compile(
    r"\s*(?:and\s+|but\s+)?(?:(?:at|in|on|for|by)\s[\w ]{0,24}?(?:end|ending|beginning|start"
    r"|opening|lines?|sentences?|paragraphs?|stanzas?|words?|scenes?)|[在于]?(?:全?文|故事|小说|诗|信)?的?"
    r"(?:结尾|结局|收尾|末尾|开头|开篇|最后一?[句段行]|第一[句段行]|首[句段]|末[句段])[部处时中里上]?分?)\s*",
    re.IGNORECASE,
)
"""A clause that says no more than where: "in the last line", 结尾部分."""
_TITLES = re.compile(r"《[^《》]{1,20}》|“[^“”]{1,20}”|\"[^\"]{1,40}\"|「[^「」]{1,20}」")


def is_negated(text: str) -> bool:
    """Whether a passage forbids something, so that a part of it would say the opposite."""
    return _NEGATION.search(text) is not None


def is_placed(text: str) -> bool:
    """Whether a passage asks something of the beginning or the end only."""
    return _PLACED.search(text) is not None


def phrases(text: str, phrasing: Phrasing, most: int = 6) -> tuple[str, ...]:
    """Cut a passage into the phrases that carry its content.

    Function words are the borders, as in RAKE (Rose et al. 2010). Each phrase is a verbatim
    part of the text. A clause that forbids something, or is about the beginning or the end, is kept
    in one piece with its negation or place.

    Returns:
        At most `most` phrases, longest first; the passage itself, shortened, if it has none.
    """
    ranked = sorted(content_phrases(text, phrasing), key=lambda phrase: -len(phrase))[:most]
    return tuple(ranked) or (phrasing.head(_bare(text), phrasing.longest_rest),)


def content_phrases(text: str, phrasing: Phrasing) -> tuple[str, ...]:
    """List the phrases of a passage in its order; none where no part of it carries content."""
    pieces: list[str] = []
    for clause, is_rule in _parted(text):
        pieces += [_whole(clause, phrasing)] if is_rule else _cut(clause, phrasing)
    return tuple(dict.fromkeys(phrase for phrase in pieces if phrase))


def _parted(text: str) -> list[tuple[str, bool]]:
    """Split a passage into clauses that are rules, kept whole, and the rest."""
    if not (is_negated(text) or is_placed(text)):
        return [(text, False)]
    parts = []
    for sentence in _SENTENCES.findall(text):
        rest = sentence
        if denial := _NEGATION.search(sentence):
            # whatever follows a denial may be denied too: "not sad, sentimental or sweet"
            start = _clause_start(sentence, denial.start())
            rest = sentence[:start]
            parts.append((sentence[start:], True))
        stops = [0, *(stop.end() for stop in _CLAUSES.finditer(rest)), len(rest)]
        clauses = [rest[a:b] for a, b in pairwise(stops)]
        if any(map(is_placed, clauses)):
            parts += [(clause, is_placed(clause)) for clause in clauses]
        else:
            parts.append((rest, False))
    return parts


def with_its_place(text: str, span: tuple[int, int], passage: str) -> str:
    """Extend a passage by its cut-off adverbial of place, or an adverbial by its clause.

    Args:
        text: The whole text.
        span: Start and end of the passage in it, in characters.
        passage: Its words.
    """
    if text[slice(*span)] != passage:
        return passage
    start, end = span
    if _ADVERBIAL.fullmatch(passage.rstrip(",， ")):
        following = re.compile(r"[^,，.;。；\n]*").match(text, end)
        return text[start : following.end() if following else end]
    before = re.search(r"(?:^|[.!?;。！？；，,]\s*)([^.!?;。！？；，,]+)[,，]\s*$", text[:start])
    if before and _ADVERBIAL.fullmatch(before[1]):
        return text[before.start(1) : end]
    return passage


def _clause_start(sentence: str, at: int) -> int:
    stops = [0, *(stop.end() for stop in _CLAUSES.finditer(sentence, 0, at))]
    if len(stops) > 1:
        before = sentence[stops[-2] : stops[-1]].rstrip(",，:： ")
        if _ADVERBIAL.fullmatch(before):
            return stops[-2]
    return stops[-1]


def _cut(text: str, phrasing: Phrasing) -> list[str]:
    titles = [match[0].strip('“”"「」,.') for match in _TITLES.finditer(text)]
    kept = [title for title in titles if title]
    for piece in phrasing.breaks.split(text):
        phrase = (piece or "").strip(" '’-*#&")
        for edge in phrasing.edges:
            phrase = edge.sub("", phrase)
        phrase = phrase.strip()
        if _carries(phrase, phrasing) and not any(phrase in title for title in titles):
            kept.append(phrase)
    return kept


def _carries(phrase: str, phrasing: Phrasing) -> bool:
    """Whether a phrase carries content and is of a usual length."""
    if _EMPTY.search(phrase) or len(phrase) < phrasing.fewest_characters:
        return False
    return 1 <= phrasing.length(phrase) <= phrasing.longest


def _whole(clause: str, phrasing: Phrasing) -> str:
    """Keep a rule; one that is too long begins at its negation or its place."""
    rule = _bare(clause)
    if phrasing.length(rule) > phrasing.longest_rule:
        starts = [match.start() for p in (_NEGATION, _PLACED) if (match := p.search(rule))]
        rule = rule[min(starts, default=0) :]
    return phrasing.head(rule, phrasing.longest_rule)


def _bare(text: str) -> str:
    return re.sub(r"^(?:and|but|please|also)\s+", "", text.strip(" \n.,;:，。；：！!"), flags=re.I)
