"""Where sentences and quotations begin and end, in the scripts that requests are written in."""

import bisect
import itertools
import re
from collections.abc import Iterator

_CLOSERS = "\"'”’」』）)\\]】》»"
_END = re.compile(
    rf"[。！？；…]+[{_CLOSERS}]*|(?<![.!?])[.!?]++[{_CLOSERS}*_]*+(?=\s|$|[\u4e00-\u9fff])|;(?=\s)|[؟।][{_CLOSERS}]*"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|e\.g|i\.e|cf|No|Vol|Fig|approx|max|min)"
    r"|\b[A-Z]|(?:^|[\n:：;；。.,，(（])\s*\d{1,2})$"
)
_GOES_ON = re.compile(r"\s+[a-zà-öø-ÿа-я]")
_QUOTATIONS = re.compile(
    r"“[^“”\n]{1,400}”|\"[^\"\n]{1,400}\"|「[^「」\n]{1,400}」|『[^『』\n]{1,400}』"
    r"|‘[^‘’\n]{1,200}’|(?<!\w)'[^'\n]{1,200}'(?!\w)|《[^《》\n]{1,60}》|«[^«»\n]{1,400}»"
    r"|„[^„“”\n]{1,400}[“”]|（[^（）\n]{1,200}）|\([^()\n]{1,200}\)|\[[^\[\]\n]{1,200}\]"
)


def quotations(text: str) -> list[tuple[int, int]]:
    """Find the spans of quotations and brackets within a line, in order."""
    return [match.span() for match in _QUOTATIONS.finditer(text)]


def sentence_ends(text: str) -> Iterator[int]:
    """Yield the end of each sentence, after its closing marks.

    Line breaks are ignored. Abbreviations, initials, list numbers and stops inside a quotation or
    bracket end no sentence.
    """
    spans = quotations(text)
    starts = [start for start, _ in spans]
    for match in _END.finditer(text):
        if match[0][0] == "." and _ABBREVIATION.search(
            text, max(0, match.start() - 8), match.start()
        ):
            continue
        # "No!" he said goes on after the closing mark
        if len(match[0]) > 1 and match[0][-1] in _CLOSERS and _GOES_ON.match(text, match.end()):
            continue
        at = bisect.bisect_right(starts, match.start()) - 1
        # a stop before the closing mark ends the sentence if the match includes that mark
        if at >= 0 and match.end() < spans[at][1]:
            continue
        yield match.end()


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Find the spans of a text's sentences; a line break ends one, and blank ones are left out."""
    borders = {0, len(text), *sentence_ends(text)}
    borders |= {match.end() for match in re.finditer(r"\n", text)}
    spans = []
    for start, end in itertools.pairwise(sorted(borders)):
        words = text[start:end].strip()
        if any(character.isalnum() for character in words):
            begin = text.index(words, start)
            spans.append((begin, begin + len(words)))
    return spans


def up_to_last_sentence(text: str) -> str:
    """Cut off a last sentence that a length limit cut short, if a whole one comes before."""
    ends = [end for end in sentence_ends(text.rstrip()) if text[:end].strip()]
    return text[: ends[-1]] if ends else text
