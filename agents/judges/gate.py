"""The gate before the judge: code refuses what is not a text (`ALGORITHM.md` 6.3.5).

An empty phrase fools most judges (arXiv:2507.08794), so a judge never sees what code can refuse.
"""

import re
from collections.abc import Iterator, Sequence
from statistics import median

from quillgraph.agents.checks.count import CharCount, WordCount
from quillgraph.agents.checks.language import foreign_language
from quillgraph.agents.checks.manner import Format, WrittenIn
from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.text.language import CJK, letter_count, letter_weight
from quillgraph.agents.text.measures import ngrams, tokens
from quillgraph.agents.text.meta_talk import without_frame, without_meta
from quillgraph.agents.text.sentences import sentence_spans

SHORTEST = 20
"""Letters that a text must have; a Chinese or Japanese character counts for three."""

MOST_REPEATED = 0.6
"""Largest share of lines, or of sentences, that may repeat earlier ones."""

MOST_PASTED = 0.5
"""Largest share of a text's 4-grams that may come from the criteria, or from a request that it
repeats."""

MOST_INSTRUCTION = 0.5
"""Share of the first words of a request, and of its last words, above which a text that contains
both repeats the request."""

GRAM = 4

FEWEST_KEYWORDS = 8

_GIVEN_TEXT = re.compile(r"[:：“”\"「」『』]")
"""Where an instruction may end and the text that it is about begin, or the other way round."""


def refusal(text: str, request: str, criteria_set: CriteriaSet) -> str | None:
    """Say why a text is refused before a judge is asked; None if it passes.

    Args:
        text: The text without its markup.
        request: The request. A text that repeats it, with its instruction, is refused.
        criteria_set: The criteria. A text that pastes them is refused. Those that code checks may
            allow what is refused otherwise: a short text, another language, a list.
    """
    own = without_meta(text)
    if not letter_count(text):
        return "no letters in it"
    if not letter_count(own):
        return "nothing but words about the text"
    if letter_weight(own) < SHORTEST and not _may_be_short(criteria_set):
        return f"fewer than {SHORTEST} letters"
    if language := _wrong_language(own, request, criteria_set):
        return language
    if (share := repeated_share(text)) > MOST_REPEATED:
        return f"{share:.0%} of its lines or sentences have stood before"
    sources = [*_rubric(criteria_set), *([request] if _repeats(text, request) else [])]
    if (share := pasted_share(own, sources)) > MOST_PASTED:
        return f"{share:.0%} of it is pasted from the request or the criteria"
    if _is_keyword_list(without_frame(text)) and not _may_be_list(criteria_set):
        return "a list of keywords"
    return None


def repeated_share(text: str) -> float:
    """Share of lines that repeat earlier ones, or of sentences if that is larger."""
    lines = [line for line in text.splitlines() if letter_count(line)]
    sentences = [text[slice(*span)] for span in sentence_spans(text)]
    return max(_repeated(lines), _repeated(sentences))


def pasted_share(text: str, sources: Sequence[str]) -> float:
    """Share of the text's 4-grams that occur in one of the sources; 0 for under four tokens."""
    own = ngrams(tokens(text), GRAM)
    known = {gram for source in sources for gram in ngrams(tokens(source), GRAM)}
    return sum(gram in known for gram in own) / len(own) if own else 0.0


def _rubric(criteria_set: CriteriaSet) -> Iterator[str]:
    """What a text may paste from each criterion: its whole text, its levels with bands."""
    for criterion in criteria_set.criteria:
        yield f"{criterion.name}. {criterion.description} {' '.join(criterion.levels.values())}"
        yield " ".join(f"{band}: {level}" for band, level in criterion.levels.items())


def _repeats(text: str, request: str) -> bool:
    """Whether a text contains both the beginning and the end of a request.

    A request to correct or rewrite a text includes that text, and a good answer is nearly a copy of
    it. The answer leaves out the instruction, which comes before the included text or after it. A
    request that is all instruction has it at both ends.
    """
    sentences = (request[slice(*span)] for span in sentence_spans(request))
    pieces = [tokens(piece) for each in sentences for piece in _GIVEN_TEXT.split(each)]
    sizes = [max(GRAM, len(piece)) for piece in pieces if piece]
    if not sizes:
        return False
    words = tokens(request)
    edges = (" ".join(words[: sizes[0]]), " ".join(words[-sizes[-1] :]))
    return all(pasted_share(edge, [text]) > MOST_INSTRUCTION for edge in edges)


def _repeated(parts: Sequence[str]) -> float:
    # two lines that are alike may be a refrain
    if len(parts) < 3:
        return 0.0
    return 1 - len({tuple(tokens(part)) for part in parts}) / len(parts)


def _wrong_language(text: str, request: str, criteria_set: CriteriaSet) -> str | None:
    demanded = {c.check.language for c in criteria_set.criteria if isinstance(c.check, WrittenIn)}
    language = foreign_language(text, request, language=criteria_set.language, demanded=demanded)
    if language is None:
        return None
    expected = " or ".join(map(repr, sorted(demanded or {criteria_set.language})))
    return f"in {language!r}, while {expected} is asked for"


def _is_keyword_list(text: str) -> bool:
    words = re.sub(r"[.。]\s*$", "", text.strip())
    items = [item for item in re.split(r"[,，、;；|]", words) if item.strip()]
    if len(items) < FEWEST_KEYWORDS or re.search(r"[.!?。！？]", words):
        return False
    # a line for every two items, or more lines than that, is verse
    if 2 * len(words.splitlines()) >= len(items):
        return False
    return median(len(item.split()) + len(CJK.findall(item)) // 3 for item in items) <= 2


def _may_be_short(criteria_set: CriteriaSet) -> bool:
    checks = (criterion.check for criterion in criteria_set.criteria)
    return any(
        isinstance(check, WordCount | CharCount)
        and check.scope is None
        and check.max is not None
        and check.max < SHORTEST
        for check in checks
    )


def _may_be_list(criteria_set: CriteriaSet) -> bool:
    checks = (criterion.check for criterion in criteria_set.criteria)
    return any(isinstance(check, Format) and "list" in check.form for check in checks)
