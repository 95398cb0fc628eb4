"""The narrator of a text and its dialogue, recognised by pronouns and marks."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

Person = Literal["first", "second", "third"]

_QUOTED = re.compile(
    r"“([^“”]{1,2000})”|\"([^\"\n]{1,2000})\"|「([^「」]{1,2000})」|『([^『』]{1,2000})』"
    r"|«([^«»]{1,2000})»|„([^„“”]{1,2000})[“”]|‘([^‘’\n]{1,2000})’(?!\w)"
)
_DASH_LINE = re.compile(r"^[^\S\n]*[—–―][^\S\n]?(?=[^\W\d_])", re.MULTILINE)
_SCRIPT_LINE = re.compile(
    r"^[^\S\n]*(?:\*\*)?(?=[^\W\d_])[^\n:：*.!?。！？，,]{1,30}(?:\*\*)?[^\S\n]*(?:\([^()\n]*\)|（[^（）\n]*）)?"
    r"[:：](?:\*\*)?[^\S\n]*\S",
    re.MULTILINE,
)
_SPEECH_BEFORE = re.compile(r"(?:[,:，：]|道|说|問|问|喊|叫|答|\bsaid|\bsays|\basked)\s*$")
_STOP = re.compile(r"[.!?。！？…—~～]['’*_]*$")
_OPENING = re.compile(r"[.!?。！？…\"”」\n][\"”」]?\s*$")
_FIRST_SHARE = 0.15
_SECOND_SHARE = 0.3


def has_dialogue(text: str) -> bool:
    """Whether somebody speaks: quoted speech, lines after a dash, or a script's cues.

    A word or title in quotation marks is not speech: speech ends in a stop before the closing
    mark, or follows a colon, a comma or a verb of saying.
    """
    return (
        any(_is_speech(text, match) for match in _QUOTED.finditer(text))
        or bool(_DASH_LINE.search(text))
        or _is_script(text)
    )


def _is_speech(text: str, match: re.Match[str]) -> bool:
    words = match[match.lastindex or 0].strip()
    # American typesetting puts any comma or full stop inside, so the first letter counts too
    if len(words) < 2 or words[0].islower():
        return False
    before = text[max(0, match.start() - 12) : match.start()]
    if _STOP.search(words):
        return True
    opens = not before.strip() or bool(_OPENING.search(before))
    return bool(_SPEECH_BEFORE.search(before)) or (opens and words[-1] in ",，")


def _is_script(text: str) -> bool:
    cues = len(_SCRIPT_LINE.findall(text))
    lines = sum(1 for line in text.splitlines() if line.strip())
    return cues >= 2 and cues * 3 >= lines


def narrator(text: str, pronouns: Iterable[re.Pattern[str]]) -> Person | None:
    """Name the grammatical person of the narration, from its pronouns outside of speech.

    A narrator who says "I" also speaks of others, so the first person needs only a share of
    0.15 of the pronouns, and the second 0.3 (measured, see LOG.md).

    Args:
        text: The text.
        pronouns: Personal pronouns of each language that counts, as groups named by person.

    Returns:
        None where no personal pronoun of these languages occurs.
    """
    unquoted = _DASH_LINE.sub("\0", _QUOTED.sub(" ", text))
    narration = "\n".join(line for line in unquoted.splitlines() if "\0" not in line)
    counts = Counter(
        match.lastgroup for pattern in pronouns for match in pattern.finditer(narration)
    )
    total = counts.total()
    if total == 0:
        return None
    if counts["second"] >= _SECOND_SHARE * total and counts["second"] > counts["first"]:
        return "second"
    return "first" if counts["first"] >= _FIRST_SHARE * total else "third"
