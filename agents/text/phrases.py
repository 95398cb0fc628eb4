"""Phrases of a passage, verbatim: what a criterion can be about."""

import re
from itertools import pairwise

LONGEST_EN, LONGEST_ZH = 5, 14
"""Words, or characters, of a phrase."""

LONGEST_RULE_EN, LONGEST_RULE_ZH = 12, 24
"""Words, or characters, of a clause that is kept whole: one that says what must not be, or what
must be at the beginning or the end."""

_BREAKS = re.compile(
    r"[.,;:!?()\[\]{}\"“”<>/\n…—–]+|\s-\s"
    r"|\b(?:and|or|but|that|which|who|whom|whose|when|where|while|if|because|so|than|then|as|for"
    r"|in|into|about|with|to|from|by|at|on|onto|over|through|during|between|among|towards?"
    r"|is|are|was|were|be|been|being|am|has|have|had|do|does|did|should|must|can|could|will"
    r"|would|may|might|shall|it|its|they|them|he|she|you|i|me|we|us|this|these|those|there"
    r"|please|write|compose|create|make|give|tell|set|use|keep|generate|provide|need|want|like"
    r"|help|let|under|below|above|within|using|based|per|not|no|don't|each|every|very)\b",
    re.IGNORECASE,
)
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
_EDGES = re.compile(
    r"^[a-z]{3,}s\s+(?=(?:a|an|the|my|our|your|his|her|their)\s)"
    r"|^(?:(?:a|an|the|my|our|your|his|her|their|some|any|of)\s+)+|\s+of$",
    re.I,
)
"""What a phrase does not need: a verb before its object ("announces a drill"), articles."""
_EDGES_ZH = re.compile(r"^(?:描写|讲述|写|讲|表现|体现)(?=..)")
_TITLES = re.compile(r"《[^《》]{1,20}》|“[^“”]{1,20}”|\"[^\"]{1,40}\"|「[^「」]{1,20}」")
_ZH_BREAKS = re.compile(
    r"[，。、；：！？（）()\[\]【】《》“”\"‘’\s…—·,.;:!?]+"
    r"|请|写一[篇个首封份]|帮我|我(?:们)?|一[篇个首封份段种]|的|地|得|了|着|和|与|及|以及|并且?|或者?|在|以|把|将|对|向|从|为|是"
    r"|要求|需要|必须|要|须|应|能|可以|不少于|不超过|左右|进行|作为|关于|根据|通过|使用|用|让|使"
)


def is_negated(text: str) -> bool:
    """Whether a passage says what must not be: a part of it would say the opposite."""
    return _NEGATION.search(text) is not None


def is_placed(text: str) -> bool:
    """Whether a passage asks something of the beginning or the end alone."""
    return _PLACED.search(text) is not None


def phrases(text: str, language: str, most: int = 6) -> tuple[str, ...]:
    """Cut a passage into the phrases that carry its content.

    Function words are the borders, as in RAKE (Rose et al. 2010). Each phrase is a verbatim
    part of the text. A clause that says what must not be, or what the beginning or the end
    must be, is kept in one piece with the word that says where.

    Returns:
        At most `most` phrases, longest first; the passage itself, shortened, if it has none.
    """
    is_zh = language in ("zh", "ja")
    ranked = sorted(telling(text, is_zh=is_zh), key=lambda phrase: -len(phrase))[:most]
    return tuple(ranked) or (_shortened(text, is_zh=is_zh),)


def telling(text: str, *, is_zh: bool) -> tuple[str, ...]:
    """The phrases of a passage in its order; none where no part of it carries content."""
    found: list[str] = []
    for clause, is_rule in _parted(text):
        found += [_whole(clause, is_zh=is_zh)] if is_rule else _cut(clause, is_zh=is_zh)
    return tuple(dict.fromkeys(phrase for phrase in found if phrase))


def _parted(text: str) -> list[tuple[str, bool]]:
    """Part a passage into clauses that are rules, kept whole, and all else."""
    if not (is_negated(text) or is_placed(text)):
        return [(text, False)]
    parted = []
    for sentence in _SENTENCES.findall(text):
        rest = sentence
        if denial := _NEGATION.search(sentence):
            # whatever follows a denial may be denied too: "not sad, sentimental or sweet"
            start = _clause_start(sentence, denial.start())
            rest = sentence[:start]
            parted.append((sentence[start:], True))
        stops = [0, *(stop.end() for stop in _CLAUSES.finditer(rest)), len(rest)]
        clauses = [rest[a:b] for a, b in pairwise(stops)]
        if any(map(is_placed, clauses)):
            parted += [(clause, is_placed(clause)) for clause in clauses]
        else:
            parted.append((rest, False))
    return parted


def with_its_place(text: str, span: tuple[int, int], passage: str) -> str:
    """Give a passage back the adverbial of place that a comma cut off, or an adverbial its clause.

    Args:
        text: The whole text.
        span: Where the passage stands in it.
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


def _cut(text: str, *, is_zh: bool) -> list[str]:
    titles = [match[0].strip('“”"「」,.') for match in _TITLES.finditer(text)]
    found = [title for title in titles if title]
    for piece in (_ZH_BREAKS if is_zh else _BREAKS).split(text):
        phrase = (piece or "").strip(" '’-*#&")
        if is_zh:
            phrase = _EDGES_ZH.sub("", phrase)
        else:
            # twice: an article may stand behind the verb
            phrase = _EDGES.sub("", _EDGES.sub("", phrase)).strip()
        if _is_telling(phrase, is_zh=is_zh) and not any(phrase in title for title in titles):
            found.append(phrase)
    return found


def _is_telling(phrase: str, *, is_zh: bool) -> bool:
    if _EMPTY.search(phrase):
        return False
    if is_zh:
        return 2 <= len(phrase) <= LONGEST_ZH
    return len(phrase) >= 4 and 1 <= len(phrase.split()) <= LONGEST_EN


def _whole(clause: str, *, is_zh: bool) -> str:
    """A rule, from the word that says where or not if it would be too long."""
    longest = LONGEST_RULE_ZH if is_zh else LONGEST_RULE_EN
    said = _bare(clause)
    if (len(said) if is_zh else len(said.split())) > longest:
        starts = [match.start() for p in (_NEGATION, _PLACED) if (match := p.search(said))]
        said = said[min(starts, default=0) :]
    return said[:longest] if is_zh else " ".join(said.split()[:longest])


def _shortened(text: str, *, is_zh: bool) -> str:
    whole = _bare(text)
    return whole[:LONGEST_ZH] if is_zh else " ".join(whole.split()[: LONGEST_EN + 2])


def _bare(text: str) -> str:
    return re.sub(r"^(?:and|but|please|also)\s+", "", text.strip(" \n.,;:，。；：！!"), flags=re.I)
