"""Which part of a text an English quantity is asked of."""

from collections.abc import Sequence

from quillgraph.agents.checks.quantity import Quantity, Token
from quillgraph.agents.checks.scope import Aim, Part, Scope

_ORDINALS = {"first": 1, "opening": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3} | {
    "fourth": 4,
    "fifth": 5,
    "last": -1,
    "final": -1,
    "closing": -1,
}
_PARTS: dict[str, Part] = {
    "unit_sentence": "sentence",
    "unit_line": "line",
    "unit_paragraph": "paragraph",
    "unit_stanza": "stanza",
    "unit_section": "section",
    "unit_list": "item",
}
_LABELS = {
    "part_subject": ("subject line", "subject"),
    "part_abstract": ("abstract",),
    "part_meta": ("meta description",),
    "part_subtitle": ("subtitle", "subheadline", "subheader"),
    "part_preheader": ("preheader", "preview text"),
}
_SIZES = {
    "character": 0,
    "word": 0,
    "sentence": 1,
    "line": 1,
    "list": 1,
    "item": 1,
    "paragraph": 2,
    "stanza": 2,
    "section": 3,
}
_REACH = 80
"""Tokens before a quantity among which its part is looked for."""
_NEAR = 4
"""Tokens between a part and a quantity that is said of it behind a comma."""
_NUMBERED_OF = ("of", "with", "each", "at", "should")
_BEFORE_OBJECT = ("filler", "adjective", "other", "number", "ordinal", "each", "text", "piece")
_NO_OBJECT = ("with", "in", "has", "including", "plus")
"""Words behind which nothing is the object of the verb before them."""
_USES = ("use", "using", "keep")
_MADE_BY_USE = ("use", "using", "keep", "make", "write", "writing")


def aim_of(quantity: Quantity, tokens: Sequence[Token]) -> Aim:
    """Find what a quantity is asked of, by the words of its sentence."""
    return _after(quantity, tokens) or _before(quantity, tokens)


def _after(quantity: Quantity, tokens: Sequence[Token]) -> Aim | None:
    """What stands behind it: "each", "per chapter", "in a sentence", "10-word title"."""
    at = quantity.last
    while _word(tokens, at) in ("long", "in", "length", ",", "for"):
        if _is(tokens, at, "comma") and not _is(tokens, at + 1, "each"):
            break
        at += 1
    words = tokens[quantity.last : at]
    if any(_is(tokens, place, "whole") for place in range(quantity.last, quantity.last + 2)):
        return "whole"
    if _is(tokens, at, "each"):
        is_its = _is_of_each(at, words, tokens)
        return _of_each(quantity, tokens, at) if is_its else None
    if any(token.text.casefold() in ("in", "for") for token in words):
        return _in_part(quantity, tokens, at)
    return _attributed(quantity, tokens)


def _of_each(quantity: Quantity, tokens: Sequence[Token], at: int) -> Aim:
    """What "each", "per" or "every" at a place speaks of."""
    part = _PARTS.get(_kind(tokens, at + 1))
    if part:
        return _each(part, quantity)
    is_alone = _word(tokens, at) in ("each", "apiece")
    return _each_of_counted(quantity, tokens) if is_alone else "unclear"


def _attributed(quantity: Quantity, tokens: Sequence[Token]) -> Aim | None:
    """The part right behind it: "a 10-word title", "3-sentence paragraphs"."""
    kind = _kind(tokens, quantity.last)
    if not _is_part(kind) or _is_made(quantity.first, tokens):
        return None
    if kind not in _PARTS:
        return _named(kind, tokens[quantity.last])
    is_plural = tokens[quantity.last].text.endswith("s")
    return _each(_PARTS[kind], quantity) if is_plural else "unclear"


def _is_of_each(at: int, words: Sequence[Token], tokens: Sequence[Token]) -> bool:
    """Whether "each" is said of the quantity before it, and not of what comes next.

    "4 paragraphs, each under 60 words" and "26 sentences, each starting with …" go on.
    """
    if any(_is(tokens, place, "number") for place in range(at + 1, at + 4)):
        return False
    return not any(word.text == "," for word in words) or _kind(tokens, at + 1) in ("stop", "comma")


def _in_part(quantity: Quantity, tokens: Sequence[Token], at: int) -> Aim | None:
    """As "in a sentence", "for the title", "in the first paragraph"."""
    place, ordinal, article = at, 0, ""
    while _kind(tokens, place) in ("filler", "ordinal", "number", "adjective") or _word(
        tokens, place
    ) in ("your", "one", "my"):
        ordinal = _ORDINALS.get(_word(tokens, place), ordinal)
        article = article or _word(tokens, place)
        place += 1
    kind = _kind(tokens, place)
    if not _is_part(kind) or place == at:
        return None
    if kind not in _PARTS:
        return _named(kind, tokens[place])
    if ordinal:
        return _nested(Scope(part=_PARTS[kind], at=ordinal), quantity)
    return _each(_PARTS[kind], quantity) if article in ("a", "an", "one", "any") else "unclear"


def _before(quantity: Quantity, tokens: Sequence[Token]) -> Aim:
    """What stands before it: the nearest part, or the text itself."""
    crossed = ""
    at = quantity.first - 1
    while at >= max(0, quantity.first - _REACH):
        token, kind = tokens[at], tokens[at].kind
        if kind == "stop" or (kind == "whole" and not crossed):
            return "whole"
        if kind == "make" and not _is_part(_kind(tokens, at + 1)):
            return _past_verb(quantity, tokens, at) if crossed in ("", "and") else "whole"
        if kind in ("comma", "open", "colon", "break") or token.text.casefold() == "and":
            if kind == "comma" and not crossed and _has_each(tokens, at, quantity.first):
                return _each_of_counted(quantity, tokens)
            mark = kind if kind in ("comma", "open", "colon") else "and"
            crossed = mark if crossed in ("", "and") else crossed
        elif kind == "text" and not _is_label(tokens, at):
            word = _word(tokens, at)
            is_subject = all(t.kind in ("modal", "filler") for t in tokens[at + 1 : quantity.first])
            is_plural = is_subject and word.endswith("s") and word != "this"
            are_several = _preceded(at, tokens, "each") or is_plural
            return "unclear" if are_several and not crossed else "whole"
        elif _is_part(kind):
            return _of_part(quantity, tokens, at, crossed)
        elif kind == "each" and not crossed and _word(tokens, at) != "any":
            if _word(tokens, at + 1) in ("one", "of") or at + 1 >= quantity.first:
                return _each_of_counted(quantity, tokens)
            return "unclear"
        at -= 1
    return "whole"


def _past_verb(quantity: Quantity, tokens: Sequence[Token], verb: int) -> Aim:
    """The whole, but for "in each chapter, write 300 words" and "for the title, use …"."""
    if any(_kind(tokens, at) == "each" for at in range(max(0, verb - 6), verb)):
        for at in range(verb - 1, max(-1, verb - 7), -1):
            if _kind(tokens, at) == "stop":
                break
            if _kind(tokens, at) == "each":
                part = _PARTS.get(_kind(tokens, at + 1))
                return _each(part, quantity) if part else "unclear"
    return "whole"


def _of_part(quantity: Quantity, tokens: Sequence[Token], at: int, crossed: str) -> Aim:
    """What a part that is named before a quantity makes of it."""
    kind = tokens[at].kind
    if crossed == "comma":
        return _apposed(quantity, tokens, at)
    if kind in _PARTS:
        return _of_division(quantity, tokens, at)
    made = _made_by(at, tokens)
    if kind == "piece":
        is_whole = made and made not in _USES and not tokens[at].text.endswith("s")
        return "whole" if is_whole else "unclear"
    if _word(tokens, at - 1) == "this":
        return "whole"
    if made and made not in _USES:
        return "unclear" if tokens[at].text.endswith("s") else "whole"
    return _named(kind, tokens[at])


def _of_division(quantity: Quantity, tokens: Sequence[Token], at: int) -> Aim:
    """What sentences, lines, paragraphs or sections before a quantity make of it."""
    part, between = _PARTS[tokens[at].kind], tokens[at + 1 : quantity.first]
    is_plural = tokens[at].text.casefold().endswith("s")
    if ordinal := _ordinal(at, tokens):
        return "unclear" if is_plural else _nested(Scope(part=part, at=ordinal), quantity)
    if _preceded(at, tokens, "each", "not"):
        return _each(part, quantity)
    if not is_plural:
        return "whole" if _made_by(at, tokens) else "unclear"
    if _is(tokens, at - 1, "number") or _counted(at, tokens):
        near = between and between[0].text.casefold() in _NUMBERED_OF
        return _each(part, quantity) if near else "unclear"
    is_used = _made_by(at, tokens) in ("", *_MADE_BY_USE)
    goes_on = any(token.kind == "other" for token in between[2:])
    return _each(part, quantity) if is_used and not goes_on else "unclear"


def _apposed(quantity: Quantity, tokens: Sequence[Token], at: int) -> Aim:
    """Behind a comma: "an intro and a conclusion, 800 words" is the text, "Title, 60 …" the title.

    Where no verb asks for a text before it, nothing says which.
    """
    made = _made_by(at, tokens)
    if made and not tokens[at].text.casefold().endswith("s"):
        return "whole"
    starts = all(token.kind in ("filler", "ordinal", "mark") for token in _sentence(at, tokens))
    if starts and quantity.first - at <= _NEAR:
        return _of_part(quantity, tokens, at, "")
    counted = _counted(at, tokens)
    if counted and made:
        return "unclear"
    return (
        "unclear"
        if counted or (starts and tokens[at].kind == "piece" and quantity.first - at <= _NEAR)
        else "whole"
    )


def _each_of_counted(quantity: Quantity, tokens: Sequence[Token]) -> Aim:
    """Read "each" without a noun: of the parts that were named before it in the sentence."""
    sentence = _sentence(quantity.first, tokens)
    for place in reversed(range(len(sentence))):
        token = sentence[place]
        is_one = _ordinal(place, sentence) or _preceded(place, sentence, "piece")
        if token.kind in _PARTS and is_one:
            return "unclear"
        if token.kind in _PARTS and _SIZES[_PARTS[token.kind]] > _SIZES[quantity.unit or "word"]:
            return _each(_PARTS[token.kind], quantity)
        if token.kind in ("piece", "text", "make") or token.kind.startswith("part_"):
            return "unclear"
    return "unclear"


def _each(part: Part | None, quantity: Quantity) -> Aim:
    return _nested(Scope(part=part), quantity) if part else "unclear"


def _nested(scope: Scope, quantity: Quantity) -> Aim:
    """Of a part that is larger than what is counted in it; lines are none of a paragraph."""
    if quantity.unit == "line" and scope.part != "stanza":
        return "unclear"
    return scope if _SIZES[scope.part] > _SIZES[quantity.unit or "word"] else "unclear"


def _named(kind: str, token: Token) -> Aim:
    """A part by its name; several of them are texts of their own, which code cannot tell apart."""
    if token.text.casefold().endswith("s"):
        return "unclear"
    if kind == "part_title":
        return Scope(part="title")
    return Scope(part="label", labels=_LABELS[kind]) if kind in _LABELS else "unclear"


def _is_part(kind: str) -> bool:
    return kind in _PARTS or kind in ("piece", "part_title") or kind in _LABELS


def _kind(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].kind if 0 <= at < len(tokens) else "stop"


def _word(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text.casefold() if 0 <= at < len(tokens) else ""


def _is(tokens: Sequence[Token], at: int, kind: str) -> bool:
    return _kind(tokens, at) == kind


def _is_label(tokens: Sequence[Token], at: int) -> bool:
    """Whether a text is named to say whose part it is: "the title of the essay"."""
    return _word(tokens, at - 1) in ("the", "this", "your") and _word(tokens, at - 2) in (
        "of",
        "for",
    )


def _is_made(at: int, tokens: Sequence[Token]) -> bool:
    """Whether a verb that asks for a text stands right before an article and a place."""
    place = at - 1
    while _kind(tokens, place) in (
        "filler",
        "adjective",
        "ordinal",
        "other",
    ) and _word(tokens, place) not in (
        "with",
        "in",
        "of",
        "and",
        "for",
        "has",
        "including",
        "plus",
    ):
        place -= 1
    return _is(tokens, place, "make") and _word(tokens, place) not in _USES


def _made_by(at: int, tokens: Sequence[Token]) -> str:
    """The verb whose object a part is, with at most three words between; empty if there is none."""
    for place in range(at - 1, max(-1, at - 6), -1):
        kind, word = _kind(tokens, place), _word(tokens, place)
        if kind == "make":
            return word
        if kind not in _BEFORE_OBJECT or word in _NO_OBJECT:
            return ""
    return ""


def _preceded(at: int, tokens: Sequence[Token], *kinds: str) -> bool:
    return any(_kind(tokens, place) in kinds for place in range(max(0, at - 3), at))


def _ordinal(at: int, tokens: Sequence[Token]) -> int:
    """Which one it is: "the last line", and "begin with a sentence" is the first; 0 if none."""
    edge = _edge(at, tokens)
    if edge:
        return edge
    for place in range(at - 1, max(-1, at - 3), -1):
        if _is(tokens, place, "ordinal"):
            return _ORDINALS[_word(tokens, place)]
    return 0


def _edge(at: int, tokens: Sequence[Token]) -> int:
    """1 or -1 where a text is to begin or to end with a part, at most six words before it."""
    if not any(_word(tokens, place) == "with" for place in range(max(0, at - 4), at)):
        return 0
    for place in range(at - 1, max(-1, at - 8), -1):
        kind = _kind(tokens, place)
        if kind in ("begin", "finish"):
            return 1 if kind == "begin" else -1
        if kind in ("stop", "comma", "and"):
            return 0
    return 0


def _counted(at: int, tokens: Sequence[Token]) -> bool:
    place = at - 1
    while _kind(tokens, place) in ("adjective", "joiner", "other") and place > at - 3:
        place -= 1
    return _is(tokens, place, "number")


def _sentence(at: int, tokens: Sequence[Token]) -> list[Token]:
    """The tokens of a sentence before a place."""
    start = at
    while start > max(0, at - _REACH) and tokens[start - 1].kind != "stop":
        start -= 1
    return list(tokens[start:at])


def _has_each(tokens: Sequence[Token], start: int, end: int) -> bool:
    few = tokens[start + 1 : end]
    return any(t.kind == "each" for t in few) and not any(_is_part(t.kind) for t in few)
