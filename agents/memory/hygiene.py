"""Refuse lessons with words of a judged text, words to a judge, or addresses.

Lessons are part of every writer's prompt, and they outlive their episode. A text that got its own
words into a lesson could inject them into every later episode (`ALGORITHM.md` 6.4, injection
hygiene).
"""

import re
import unicodedata
from collections.abc import Iterable

from quillgraph.agents.memory.lesson import MOST_LESSON_CHARS, TOKEN, WORD_CHARS, weight

LONGEST_SHARED_WORDS = 6
"""Words in a row that count as a copy if two texts share them; shorter runs are common phrases.
Twelve characters count as much in Chinese or Japanese."""

_URL = re.compile(r"\w://|www\.|[\w-]\.[a-z]{2,}")
"""Matches an address: a full stop without a blank after it ends no sentence."""

_TO_A_JUDGE = re.compile(
    r"\b(?:judg(?:e|es|ed|ing|ements?|ments?)|grad(?:er|ers|ing)|scor(?:e|es|ed|er|ers|ing)"
    r"|raters?|ratings?|evaluat(?:ors?|ions?)|rubrics?|reward models?)\b"
    r"|\b(?:rate|grade|rank) (?:this|it|these|the (?:text|story|poem|essay))\b"
    r"|\b(?:give|award) (?:this|me)\b"
    r"|\b(?:full|top|highest|maximum|perfect) (?:marks?|points?)\b"
    r"|\bout of (?:10|ten)\b|\b\d+ ?/ ?10\b"
    r"|\b(?:ignore|disregard|forget)\b.{0,24}\b(?:instructions?|prompts?|criteria|rules)\b",
    re.ASCII,
)
"""Under `re.ASCII` a word also ends next to a Chinese character."""

_TO_A_JUDGE_ZH = re.compile(
    "评分|打分|评委|评审|裁判|阅卷|评判|评价者|评估者|满分|(?<!提)高分|(?<!部)分数"
    "|得分(?![明外散寸别])|给(?:这|此|本|我)|忽略.{0,8}(?:指令|指示|提示|要求)"
)


def fault_of(condition: str, strategy: str, judged_texts: Iterable[str]) -> str | None:
    """Say why a lesson must be refused.

    Args:
        condition: When the lesson applies.
        strategy: What to do, or to avoid.
        judged_texts: The texts of its episode.

    Returns:
        The first fault: `longer than 200 characters`, `empty`, `address`, `speaks to a
        judge` or `copied from a judged text`; None if the lesson has no fault. Condition and
        strategy are checked separately.
    """
    parts = (condition, strategy)
    if any(len(part) > MOST_LESSON_CHARS for part in parts):
        return f"longer than {MOST_LESSON_CHARS} characters"
    plain = [_plain(part) for part in parts]
    if not all(TOKEN.search(part) for part in plain):
        return "empty"
    if any(_URL.search(part) for part in plain):
        return "address"
    if any(_TO_A_JUDGE.search(part) or _TO_A_JUDGE_ZH.search(part) for part in plain):
        return "speaks to a judge"
    own = set[tuple[str, ...]]().union(*map(_runs, plain))
    if any(own & _runs(_plain(text)) for text in judged_texts):
        return "copied from a judged text"
    return None


def _plain(text: str) -> str:
    """The text without what hides words from a search: width, case, invisible characters."""
    visible = (each for each in text if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFKC", "".join(visible)).casefold()


def _runs(text: str) -> set[tuple[str, ...]]:
    """From each word on, the shortest run of words that is long enough to count as a copy.

    Texts that share a longer run also share the shortest run at its start.
    """
    words = TOKEN.findall(text.replace("'", "").replace("’", ""))
    runs, end, total = set(), 0, 0
    for start, word in enumerate(words):
        while end < len(words) and total < LONGEST_SHARED_WORDS * WORD_CHARS:
            total += weight(words[end])
            end += 1
        if total < LONGEST_SHARED_WORDS * WORD_CHARS:
            break
        runs.add(tuple(words[start:end]))
        total -= weight(word)
    return runs
