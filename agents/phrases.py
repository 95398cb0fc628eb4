"""Phrases of a passage, verbatim: what a criterion can be about."""

import re

LONGEST_EN, LONGEST_ZH = 5, 14
"""Words, or characters, of a phrase."""

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
    r"\b(?:not|no|never|without|avoid\w*|\w+n['’]t|cannot|nor)\b|不要|不得|不能|切勿|避免|禁止|没有",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r"\b(?:following|requirements?|specific|especially|such|content|aspects?|points?|etc|example)\b"
    r"|^(?:help|more|most|some|many|also|only|other|another|first|next|finally|overall)$|^\w+ly$"
    r"|以下|如下|内容|要求|字数|具体",
    re.IGNORECASE,
)
_EDGES = re.compile(r"^(?:(?:a|an|the|my|our|your|his|her|their|some|any|of)\s+)+|\s+of$", re.I)
_TITLES = re.compile(r"《[^《》]{1,20}》|“[^“”]{1,20}”|\"[^\"]{1,40}\"|「[^「」]{1,20}」")
_ZH_BREAKS = re.compile(
    r"[，。、；：！？（）()\[\]【】《》“”\"‘’\s…—·,.;:!?]+"
    r"|请|写一[篇个首封份]|帮我|我(?:们)?|一[篇个首封份段种]|的|地|得|了|着|和|与|及|以及|并且?|或者?|在|以|把|将|对|向|从|为|是"
    r"|要求|需要|必须|要|须|应|能|可以|不少于|不超过|左右|进行|作为|关于|根据|通过|使用|用|让|使"
)


def is_negated(text: str) -> bool:
    """Whether a passage says what must not be: a part of it would say the opposite."""
    return _NEGATION.search(text) is not None


def phrases(text: str, language: str, most: int = 6) -> tuple[str, ...]:
    """Cut a passage into the phrases that carry its content.

    Function words are the borders, as in RAKE (Rose et al. 2010). Each phrase is a verbatim
    part of the text; a negated clause is kept in one piece.

    Returns:
        At most `most` phrases, longest first; the passage itself, shortened, if it has none.
    """
    is_zh = language in ("zh", "ja")
    if is_negated(text):
        return (_shortened(text, is_zh=is_zh),)
    found = [match[0].strip('“”"「」,.') for match in _TITLES.finditer(text)]
    for piece in (_ZH_BREAKS if is_zh else _BREAKS).split(text):
        phrase = (piece or "").strip(" '’-*#&")
        if not is_zh:
            phrase = _EDGES.sub("", phrase).strip()
        if _is_telling(phrase, is_zh=is_zh):
            found.append(phrase)
    unique = dict.fromkeys(found)
    ranked = sorted(unique, key=lambda phrase: -len(phrase))[:most]
    return tuple(ranked) or (_shortened(text, is_zh=is_zh),)


def _is_telling(phrase: str, *, is_zh: bool) -> bool:
    if _EMPTY.search(phrase):
        return False
    if is_zh:
        return 2 <= len(phrase) <= LONGEST_ZH
    return len(phrase) >= 4 and 1 <= len(phrase.split()) <= LONGEST_EN


def _shortened(text: str, *, is_zh: bool) -> str:
    # of a long clause, what is denied says more than what stands before
    denial = _NEGATION.search(text)
    if denial and denial.start() > LONGEST_ZH:
        text = text[denial.start() :]
    whole = re.sub(r"^(?:and|but|please|also)\s+", "", text.strip(" \n.,;:，。；："), flags=re.I)
    return whole[:LONGEST_ZH] if is_zh else " ".join(whole.split()[: LONGEST_EN + 2])
