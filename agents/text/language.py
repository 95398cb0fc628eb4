"""Which language a text is written in, and in which script.

Chinese, Japanese and Korean are recognised by their scripts alone, so their codes are here and not
with the rules of a language.
"""

import functools
import re
import unicodedata

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


def letter_weight(text: str) -> int:
    """Count the letters with vowel signs, Chinese and the like `LETTERS_PER_CHARACTER` times."""
    wide = han_count(text) + kana_count(text) + hangul_count(text)
    return letter_count(text) + _sign_count(text) + (LETTERS_PER_CHARACTER - 1) * wide


def _sign_count(text: str) -> int:
    """Count the vowels that Hindi, Thai and the like write as signs upon letters."""
    return sum(
        unicodedata.category(each) in ("Mn", "Mc") and not unicodedata.combining(each)
        for each in _VARIATIONS.sub("", text)
    )


_VARIATIONS = re.compile("[\ufe00-\ufe0f]")
"""They choose the look of the character before them, such as an emoji."""


UNDETERMINED = "und"
"""ISO 639 code for a text without letters."""

_KANA_SHARE = 0.1
"""Of the characters of a Japanese text about half are kana; a Chinese one may quote a few."""

COMMON = frozenset("ar de el en es fr hi it la nl pl pt ru sv th tr vi".split())  # noqa: SIM905 one line
"""Languages that a few words are taken for; others need a lead over them. Of 140 languages the
identifier finds one for any short title: "Ode to autumn" scores highest as Slovak."""

_RARE_LEAD = 18.0
"""Log-odds by which another language must lead the best of the common ones."""

_LEAD = 12.0
"""Log-odds by which a language must lead English, or one that is asked for. On 200 titles of 1 to
8 words in ten languages 195 are right with it, all 20 English ones among them; without, 174 and
12. Requests and titles in plain English are far more frequent than others."""

SURE_LETTERS = 40
"""Letters from which on the language of a request can be sure. No title of the 200 has as many."""

CLEAR_LETTERS = 80
"""Letters from which on the language of a text is clear enough to refuse the text by it. Of pieces
of English documentation of 40, 60 and 80 characters 4 in 439, 1 in 297 and 0 in 225 were misread
without a lead."""

_NOT_WORDS = re.compile(r"[^\w\s']|[\d_]")
"""Typographic marks weigh as much as letters do: “Fog” reads as Uzbek, "Fog" as English."""


def script_language(text: str) -> str | None:
    """The language of a text that Chinese, Japanese or Korean characters carry; else None."""
    han, kana, hangul = han_count(text), kana_count(text), hangul_count(text)
    others = letter_count(text) - han - kana - hangul
    if (han + kana + hangul) * LETTERS_PER_CHARACTER <= others:
        return None
    if hangul > han + kana:
        return "ko"
    return "ja" if kana > _KANA_SHARE * (han + kana) else "zh"


_PIECES = re.compile(r"[.!?。！？:：“”\"「」『』«»\n]+")
"""Where an instruction may end and the text that it is about begin, or the other way round."""


def language_of(text: str) -> str:
    """Name the main language of the text.

    Scripts tell Chinese, Japanese and Korean, which is right even for three characters and for
    requests that quote English. For the rest, py3langid (naive Bayes on byte n-grams,
    BSD-3-Clause) ranks the languages; it is loaded on the first such text, which takes about 1 s.
    Text in Latin letters is English unless another language leads it clearly, so a short title in
    a language close to English may be misread: what refuses texts asks `is_sure` and `may_be`.

    Returns:
        An ISO 639-1 code, or `und` where the text has no letters.
    """
    if not letter_count(text):
        return UNDETERMINED
    if script := script_language(text):
        return script
    best = _best(_ranked(text))
    # an accent or two in a name or a loan word make no other language: "A villain's résumé"
    return "en" if best != "en" and _best_of_all(_ranked(_bare(text))) == "en" else best


def may_be(text: str, language: str) -> bool:
    """Whether a text may be in a language, as far as code can tell.

    Returns:
        False only where another language, or script, clearly fits better.
    """
    if not letter_count(text):
        return False
    script = script_language(text)
    if script or language in _BY_SCRIPT:
        return script == language
    scores = _ranked(text)
    return language == _best(scores) or (
        language in scores and max(scores.values()) - scores[language] < _LEAD
    )


@functools.lru_cache(maxsize=256)  # one request has many texts
def is_sure(request: str) -> bool:
    """Whether a request leaves no doubt about the language of its answer, though it names none.

    Its script decides it, or it has `SURE_LETTERS` letters and no other language comes near. A
    request that begins or ends in another language may want an answer in either.
    """
    language = language_of(request)
    pieces = [each for each in _PIECES.split(request.strip()) if letter_count(each)]
    if any(language_of(edge) != language for edge in pieces[:1] + pieces[-1:]):
        return False
    if language in _BY_SCRIPT:
        return True
    return letter_count(request) >= SURE_LETTERS and not any(
        may_be(request, other) for other in COMMON - {language}
    )


_BY_SCRIPT = ("zh", "ja", "ko")


@functools.lru_cache(maxsize=64)
def _ranked(text: str) -> dict[str, float]:
    """Log-probability of each language that ISO 639-1 has a code for, by the words alone."""
    from py3langid import langid  # type: ignore[import-untyped]  # it ships no types

    words = re.sub(f"[{HAN}{KANA}{HANGUL}]", " ", _NOT_WORDS.sub(" ", text.replace("’", "'")))
    return {
        code: float(score)
        for code, score in langid.rank(" ".join(words.split()))
        if len(code) == 2 and code not in _BY_SCRIPT
    }


def _best(scores: dict[str, float]) -> str:
    best = max(scores, key=scores.__getitem__)
    common = max(COMMON, key=scores.__getitem__)
    if scores[best] - scores[common] < _RARE_LEAD:
        best = common
    return best if scores[best] - scores["en"] >= _LEAD else "en"


def _best_of_all(scores: dict[str, float]) -> str:
    return max(scores, key=scores.__getitem__)


def _bare(text: str) -> str:
    """The text without its accents."""
    parts = unicodedata.normalize("NFD", text)
    return "".join(each for each in parts if not unicodedata.combining(each))
