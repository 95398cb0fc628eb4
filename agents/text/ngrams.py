"""Runs of neighbouring words: what repeats in a text, and what two texts share."""

import re
from collections.abc import Sequence

from quillgraph.agents.text.measures import normalised
from quillgraph.agents.text.scripts import CJK

_BETWEEN_WORDS = re.compile(r"[\s—–…/|]+|--+")
_MARKS_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


def tokens(text: str) -> list[str]:
    """Split a text into words, and Chinese and Japanese into characters, as `word_count` does.

    Case, width and the marks around a word are folded away, so that equal words compare equal.
    """
    parts = _BETWEEN_WORDS.split(CJK.sub(r" \g<0> ", text))
    words = (_MARKS_AROUND.sub("", normalised(part)) for part in parts)
    return [word for word in words if word]


def ngrams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """List the runs of `size` neighbouring words in order; none where there are fewer words."""
    return list(zip(*(words[start:] for start in range(size)), strict=False))
