"""What the package knows of a language: how requests word their demands, and how code answers.

Each language is a folder that exports one `Language`. English and Chinese are ours; others come
with installed packages, by the entry-point group `quillgraph.languages`, and are imported when a
text in them is first read.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from quillgraph.agents.checks.demand import Rule
from quillgraph.agents.checks.registry import Registry
from quillgraph.agents.checks.templates import Templates
from quillgraph.agents.checks.wording import Wording
from quillgraph.agents.text.language import (
    CLEAR_LETTERS,
    is_sure,
    language_of,
    letter_weight,
    may_be,
    script_language,
)
from quillgraph.agents.text.numerals import Numerals
from quillgraph.agents.text.phrases import Phrasing

GROUP = "quillgraph.languages"
"""Entry points of this group are languages of other packages, by their ISO 639-1 code."""

DEFAULT = "en"
"""The language that stands in for one without rules."""

PhraseKind = Literal[
    "ban",
    "edge",
    "fact",
    "length",
    "form",
    "person",
    "manner",
    "viewpoint",
    "feeling",
    "action",
    "thing",
]
"""A ban says what must not be; an edge what the beginning or end must be; a fact is a number or
a date, and a length a word for one; a form is a kind of text; a manner is a tone or style."""


@dataclass(frozen=True, slots=True)
class ClauseBreak:
    """Where a long sentence is cut into clauses that carry one demand each."""

    pattern: re.Pattern[str]
    """It is cut behind each match outside of quotations."""
    fewest: int = 0
    """Characters that must stand on both sides of a cut."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language of requests.

    `dataclasses.replace` makes another one of it: what is not replaced stays as it is.
    """

    code: str
    """ISO 639-1 code."""
    rules: tuple[Rule, ...]
    """Each reads the demands of one kind off the text of an incident."""
    wording: Wording
    """How checks are named and described."""
    numerals: Numerals
    """How numbers are written."""
    phrasing: Phrasing
    """How a passage is cut into phrases."""
    clauses: ClauseBreak
    """Where a sentence of a request is cut."""
    demands: re.Pattern[str]
    """Words that ask for something, which pasted material seldom has."""
    kind_of: Callable[[str], PhraseKind]
    """What a phrase names that is no ban, edge, fact, length or viewpoint."""
    pronouns: re.Pattern[str]
    """Personal pronouns, as groups named first, second and third."""
    templates: Templates
    """Sentences around what a small model chose."""
    request_rules: tuple[Rule, ...] = ()
    """Each reads the demands of one kind off a whole request, where what a demand is about may be
    named a sentence before."""


def _code_of(part: Any) -> str | None:
    return part.code if isinstance(part, Language) else None


LANGUAGES: Registry[Language] = Registry(
    what="language",
    group=GROUP,
    built_in={
        "en": "quillgraph.agents.checks.en:LANGUAGE",
        "zh": "quillgraph.agents.checks.zh:LANGUAGE",
    },
    name_of=_code_of,
)
"""Every language by its code."""


def language_for(code: str) -> Language:
    """The language of a code; English where no package has it."""
    return LANGUAGES.load(code if code in LANGUAGES else DEFAULT)


def languages_in(text: str, code: str | None = None) -> tuple[Language, ...]:
    """The languages by which a text is read.

    Ours read every text, since requests mix them; one of another package reads the texts in it.

    Args:
        text: What is read.
        code: Its language, where that is known; else it is detected if that matters.
    """
    own = tuple(LANGUAGES.load(each) for each in LANGUAGES.built_in)
    if not LANGUAGES.foreign:
        return own
    code = code or language_of(text)
    return (*own, LANGUAGES.load(code)) if code in LANGUAGES.foreign else own


def language_in_script(code: str, *, by_characters: bool) -> Language:
    """The language of a code if it is written in such a script, else the first of ours that is.

    Args:
        code: Language of the request.
        by_characters: Whether the passage is in Chinese characters, which no blanks part.
    """
    own = (LANGUAGES.load(each) for each in LANGUAGES.built_in)
    candidates = (language_for(code), *own)
    return next(each for each in candidates if each.phrasing.by_characters == by_characters)


def phrasing_of(code: str) -> Phrasing:
    """How a passage in a language is cut; a language without rules may be cut like another."""
    if code in LANGUAGES:
        return LANGUAGES.load(code).phrasing
    own = (LANGUAGES.load(each).phrasing for each in LANGUAGES.built_in)
    return next((each for each in own if code in each.also), language_for(code).phrasing)


def is_known(code: str) -> bool:
    """Whether requests may ask for a language: we have a name or rules for it."""
    return code in language_for(DEFAULT).wording.languages or code in LANGUAGES


def foreign_language(
    text: str, request: str, *, language: str, demanded: Collection[str] = ()
) -> str | None:
    """Name the language of a text that is clearly in none that the request allows.

    A request refuses other languages only where it names one, or is itself long and of one
    language: the language of a short request is a guess. It refuses another script all the same.

    Args:
        text: The text; short ones are in no language for certain.
        request: What was asked for.
        language: Language of the request, or of its criteria.
        demanded: Languages that the request names.
    """
    if letter_weight(text) < CLEAR_LETTERS:
        return None
    is_hard = demanded or is_sure(request) or script_language(text) != script_language(request)
    if not is_hard:
        return None
    if any(may_be(text, each) for each in {language, *demanded}):
        return None
    actual = language_of(text)
    # a text whose speech is in another language may lead there, and still be English
    if actual in {language, *demanded} or (not demanded and _mentions(request, actual)):
        return None
    # repetitive English may look like Volapük; a language that no request names is a misdetection
    return actual if is_known(actual) else None


def _mentions(request: str, code: str) -> bool:
    """Whether a request speaks of words in a language, without a demand that code can read."""
    return any(
        re.search(pattern.format(re.escape(name)), request, re.IGNORECASE)
        for part in (language_for(DEFAULT), language_for("zh"))
        if (name := part.wording.languages.get(code))
        for pattern in (_WORDS_IN if part.code == DEFAULT else ("{}",))
    )


_WORDS_IN = (
    r"\b(?:speaks?|speaking|spoken|in|into|to)(?: \w+){{0,2}} {}\b(?=\W|$)(?! (?!(?:and|or|with|for"
    r"|that|who|only|please|but|then|so|the|this|my|an?|it)\b)\w)",
    r"\b{} (?:and (?:an? )?\w+ )?(?:texts?|words?|mottos?|dedications?|phrases?|proverbs?|lullab\w+"
    r"|songs?|hymns?|poems?|verses?|sonnets?|dialogues?|translations?|versions?|titles?"
    r"|inscriptions?|vocabulary|sentences?|language|lessons?|letters?|e-?mails?|speakers?)\b",
)
"""Where the name of a language is of its words, and not of a people: "a French baker" is of one."""
