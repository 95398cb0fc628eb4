"""Which language a text is written in."""

from quillgraph.agents.text.scripts import (
    LETTERS_PER_CHARACTER,
    han_count,
    hangul_count,
    kana_count,
    letter_count,
)

UNDETERMINED = "und"
"""What ISO 639 says for a text without letters."""

_KANA_SHARE = 0.1
"""Of the characters of a Japanese text about half are kana; a Chinese one may quote a few."""

_CLOSE_CALL = 2.0
"""Log-odds under which a short ASCII text counts as English: "Write a poem" scores Romanian
by 0.7, and requests in plain ASCII are nearly always English."""


def language_of(text: str) -> str:
    """Name the language that carries the text.

    Chinese, Japanese and Korean are told by the shares of their scripts, which is right even for
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
