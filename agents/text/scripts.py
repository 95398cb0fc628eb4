"""Which scripts a text is written in: the letters that need no spaces between words."""

import re

HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA = r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
HANGUL = r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"

CJK = re.compile(f"[{HAN}{KANA}]")
"""A character that is a word's worth of writing by itself (字)."""

_HAN = re.compile(f"[{HAN}]")
_KANA = re.compile(f"[{KANA}]")
_HANGUL = re.compile(f"[{HANGUL}]")


def han_count(text: str) -> int:
    """Count the Chinese characters."""
    return len(_HAN.findall(text))


def kana_count(text: str) -> int:
    """Count the Japanese syllable characters."""
    return len(_KANA.findall(text))


def hangul_count(text: str) -> int:
    """Count the Korean syllables."""
    return len(_HANGUL.findall(text))


def letter_count(text: str) -> int:
    """Count the letters of every script."""
    return sum(map(str.isalpha, text))


def is_cjk(text: str) -> bool:
    """Whether Chinese or Japanese characters carry the text, rather than stand in it."""
    cjk = len(CJK.findall(text))
    return cjk * LETTERS_PER_CHARACTER > letter_count(text) - cjk


LETTERS_PER_CHARACTER = 3
"""About how many letters of an alphabet say as much as one Chinese character: 1.6 characters
make a Chinese word and 4.7 letters an English one."""
