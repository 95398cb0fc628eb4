"""What can be counted in a text, the same way on every machine: words, lines, parts, n-grams."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from quillgraph.agents.text.language import CJK
from quillgraph.agents.text.sentences import sentence_ends

_WORD_BREAK = re.compile(r"[\s—–…/|]+|--+")
_HEADING = re.compile(
    r"#{1,6}\s+\S.*|\*\*[^*\n]{1,80}\*\*[:：]?|__[^_\n]{1,80}__|《[^《》\n]{1,40}》"
    r"|(?:(?:sub)?title|题目|标题)\s*[:：].*"
    r"|第[零一二三四五六七八九十百\d]{1,4}[章节部幕回][^。！？\n]{0,30}"
    r"|[一二三四五六七八九十]{1,3}、[^。！？\n]{1,30}"
    r"|(?:chapter|part|act|section|verse|chorus)\s+(?:\d+|[ivxlc]+|one|two|three|four|five|six|seven"
    r"|eight|nine|ten)\b[^.!?\n]{0,60}",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"introduc|conclu|prologue|epilogue|foreword|preface|summary|引言|前言|导语|序[言章幕]|结[语论尾]|尾声|后记",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\[[^\[\]\n]{1,40}\]|【[^【】\n]{1,20}】")
_RULE = re.compile(r"[-*_=~·•\s]{3,}")
_BLANK_LINE = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_TITLE_CHARS = 60


def normalised(text: str) -> str:
    """Fold case, width and quotation marks, so that equal words compare equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})


def word_count(text: str) -> int:
    """Count the words; each Chinese or Japanese character is one.

    This is how 字数 is counted without punctuation, and how LongBench-Write
    (arXiv:2408.07055) counts. Another word is what lies between blanks or dashes and has a letter
    or digit, so "don't", "well-known" and "3.5" are one each.
    """
    spaced = CJK.sub(" ", text)
    words = (part for part in _WORD_BREAK.split(spaced) if part)
    return len(CJK.findall(text)) + sum(any(map(str.isalnum, word)) for word in words)


def character_count(text: str) -> int:
    """Count the characters as a web form does: letters, blanks and marks, ends trimmed."""
    return len(unicodedata.normalize("NFC", text.strip()))


def is_heading(line: str) -> bool:
    """Whether the line is a title or a section's heading by its form."""
    return bool(_HEADING.fullmatch(line.strip()))


def body_lines(text: str) -> list[str]:
    """List the lines of text: no blank lines, titles, headings, labels or rules."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not _is_furniture(line)]


def _is_furniture(line: str) -> bool:
    return bool(_LABEL.fullmatch(line) or _RULE.fullmatch(line)) or is_heading(line)


def blocks(text: str) -> list[list[str]]:
    """List the body lines of each block between blank lines; a bare first title is left out."""
    parts = [body_lines(part) for part in _BLANK_LINE.split(text.strip().replace("\r\n", "\n"))]
    parts = [part for part in parts if part]
    if len(parts) > 1 and len(parts[0]) == 1 and _is_bare_title(parts[0][0]):
        return parts[1:]
    return parts


def _is_bare_title(line: str) -> bool:
    return len(line) <= _TITLE_CHARS and line[-1] not in '.!?,;:…。！？，；：、"”」'


def has_title(text: str) -> bool:
    """Whether the first line is a title: a heading, or a short line that a blank line follows."""
    lines = text.strip().splitlines()
    if not lines:
        return False
    bare = len(lines) > 2 and not lines[1].strip() and _is_bare_title(lines[0].strip())
    return is_heading(lines[0]) or bare


def verse_line_count(text: str) -> int:
    """Count the lines of verse, without the title and the labels of parts."""
    return sum(len(block) for block in blocks(text))


def stanza_count(text: str) -> int:
    """Count the blocks of verse that blank lines separate."""
    return len(blocks(text))


def paragraph_count(text: str) -> int:
    """Count the paragraphs: blocks between blank lines, or lines where no line is blank."""
    parts = blocks(text)
    if len(parts) == 1 and not _BLANK_LINE.search(text.strip()):
        return len(parts[0])
    return len(parts)


def sentence_count(text: str) -> int:
    """Count the sentences; a line without a full stop counts as one."""
    count = 0
    for line in body_lines(text):
        starts = [0, *sentence_ends(line), len(line)]
        pieces = (line[a:b] for a, b in pairwise(starts))
        count += sum(any(map(str.isalnum, piece)) for piece in pieces)
    return count


def section_counts(text: str) -> set[int]:
    """Count the sections, once for each kind of heading, with and without the frame.

    A story with a title (`#`), four chapters and an epilogue (`##`) gives {1, 5, 4}: the caller
    decides which of these the demand means.
    """
    kinds: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if kind := heading_kind(line):
            kinds.setdefault(kind, []).append(line)
    inner = ([line for line in lines if not _FRAME.search(line)] for lines in kinds.values())
    return {len(lines) for lines in (*kinds.values(), *inner) if lines}


def heading_kind(line: str) -> str:
    """Name the kind of heading or label that a line is; empty for any other line."""
    line = line.strip()
    if not (_LABEL.fullmatch(line) or is_heading(line)):
        return ""
    return "#" * (len(line) - len(line.lstrip("#"))) or _kind_of_heading(line)


def _kind_of_heading(line: str) -> str:
    plain = line.strip("*_ ")
    if "一" <= plain[0] <= "龥" and plain[0] != "第":
        return "numbered" if "、" in plain[:4] else "bold"
    return line[:2] if line[0] in "*_[【《" else plain.split()[0][:1].casefold()


def verses_of(text: str) -> list[int]:
    """Measure each verse of a classical poem: its Chinese characters between two marks."""
    verses = re.split(r"[，。！？；、,.!?;\n]+", "\n".join("\n".join(b) for b in blocks(text)))
    lengths = (len(CJK.findall(verse)) for verse in verses)
    return [length for length in lengths if length]


_BETWEEN_WORDS = re.compile(r"[\s—–…/|]+|--+")
_MARKS_AROUND = re.compile(r"^[\W_]++|(?<![\W_])[\W_]++$")


def tokens(text: str) -> list[str]:
    """Split a text into words, and Chinese and Japanese into characters, as `word_count` does.

    Case and width are folded and the marks around a word removed, so that equal words compare
    equal.
    """
    parts = _BETWEEN_WORDS.split(CJK.sub(r" \g<0> ", text))
    words = (_MARKS_AROUND.sub("", normalised(part)) for part in parts)
    return [word for word in words if word]


def ngrams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """List the runs of `size` neighbouring words in order; none where there are fewer words."""
    return list(zip(*(words[start:] for start in range(size)), strict=False))
