"""Which language a text is written in, and in which script.

Chinese, Japanese and Korean are recognised by their scripts alone, so their codes are here and not
with the rules of a language.
"""

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
    """Whether the text is mainly in Chinese or Japanese characters."""
    cjk = len(CJK.findall(text))
    return cjk * LETTERS_PER_CHARACTER > letter_count(text) - cjk


LETTERS_PER_CHARACTER = 3
"""About how many letters of an alphabet say as much as one Chinese character: 1.6 characters
make a Chinese word and 4.7 letters an English one."""


UNDETERMINED = "und"
"""ISO 639 code for a text without letters."""

_KANA_SHARE = 0.1
"""Of the characters of a Japanese text about half are kana; a Chinese one may quote a few."""

_CLOSE_CALL = 2.0
"""Log-odds under which a short ASCII text counts as English: "Write a poem" scores Romanian
by 0.7, and requests in plain ASCII are nearly always English."""


def language_of(text: str) -> str:
    """Name the main language of the text.

    Chinese, Japanese and Korean are recognised by the shares of their scripts, which is right
    even for
    three characters and for requests that quote English; the rest by py3langid (naive Bayes
    on byte n-grams, BSD-3-Clause), which is loaded on the first such text and takes about 1 s.

    Returns:
        An ISO 639-1 code, or `und` where the text has no letters.
    """
    letters = letter_count(text)
    if letters == 0:
        return UNDETERMINED
    han, kana, hangul = han_count(text), kana_count(text), hangul_count(text)
    others = letters - han - kana - hangul
    if (han + kana + hangul) * LETTERS_PER_CHARACTER > others:
        if hangul > han + kana:
            return "ko"
        return "ja" if kana > _KANA_SHARE * (han + kana) else "zh"
    return _identified(text)


def _identified(text: str) -> str:
    from py3langid import langid  # type: ignore[import-untyped]  # it ships no types

    # the model also knows 60 languages that ISO 639-1 has no code for
    ranked = [(code, score) for code, score in langid.rank(text) if len(code) == 2]
    best, best_score = ranked[0]
    if text.isascii() and best_score - dict(ranked)["en"] < _CLOSE_CALL:
        return "en"
    return str(best)
