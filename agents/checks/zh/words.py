"""Demands in Chinese requests on the very words: to include, to leave out, to start or end with."""

import re
from collections.abc import Iterator

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.demand import Demand, quoted_terms
from quillgraph.agents.checks.words import Ending, MustInclude, MustNotInclude, Opening
from quillgraph.agents.checks.zh.wording import WORDING

_OPEN = "“\"「『‘'"
_JOINER = re.compile(rf"\s*[、，,和及与或]?\s*(?=[{_OPEN}])")
_KIND = r"(?:关键词|关键字|词语|词组|词|字|句子|短语|成语|语句|名字|字样)"
NOT = r"不要|不得|不能|不可|不许|不准|不应|避免|禁止|请勿|切勿|勿|不|别"
_INCLUDED = re.compile(
    rf"(?P<verb>包含|包括|出现|用上|用到|使用|带有|含有|嵌入|提到|提及|写到|用)(?:以下|下列"
    rf"|这)?(?:几个|些|个)?"
    rf"(?P<kind>{_KIND})?(?:语)?\s*[:：]?\s*(?=[{_OPEN}])"
)
_LISTED = re.compile(
    r"(?:用上|用到|使用|包含|出现)(?:以下|下列|这)(?:几个|些)?(?:关键词|词语|词汇|词)\s*[:：]\s*"
    r"(?P<list>[^。；\n“\"「]+)"
)
_BANNED = re.compile(
    r"(?:禁用词|禁止使用的?词语?|避免使用的?词语?|不能用的词)\s*[:：]\s*(?P<list>[^。；\n“\"「]+)"
)
_LITERAL_VERBS = ("用上", "嵌入", "提到", "提及", "出现", "写到")
_AFTER_KIND = re.compile(rf"\s*(?:这|等|之类的?)?(?:[一二两三四五六七八九十\d]*个)?(?:的)?{_KIND}")
NEGATED = re.compile(rf"(?:{NOT})(?:再|要|过多|直接|任何|得|能|使用|出现)*$")
_PER_PART = re.compile(r"每|各|开头|结尾|部分")
_EDGE = re.compile(
    rf"(?:以|用)\s*(?=[{_OPEN}])|(?P<by_place>(?:开头|结尾|第一句话?|首句|最后一句话?|末句)"
    rf"(?:必须|一定|应该?|需要?|须|要)*(?:是|为|写|：|:)+)\s*(?=[{_OPEN}])"
)
_PLACE = re.compile(
    r"\s*(?:这句话|一句|为|作为?|这个字)?\s*(?:(?P<start>开头|开篇|起首|开场)|(?P<end>结尾|收尾"
    r"|结束))"
)


def _demand(check: Check, start: int, end: int) -> Demand:
    return Demand(check=check, name=check.name_in(WORDING), start=start, end=end)


def clause_before(text: str, at: int) -> str:
    """Take what stands before a position, back to the last mark."""
    return re.split(r"[，。；！？\n：:]", text[:at])[-1]


def words(text: str) -> Iterator[Demand]:
    """Find the quoted words that must, or must not, stand in the text."""
    for match in _INCLUDED.finditer(text):
        terms, end = quoted_terms(text, match.end(), _JOINER)
        before = clause_before(text, match.start())
        literal = match["kind"] or match["verb"] in _LITERAL_VERBS or _AFTER_KIND.match(text, end)
        if not terms or not literal or _PER_PART.search(before):
            continue
        if NEGATED.search(before):
            yield _demand(MustNotInclude(terms=tuple(terms)), match.start(), end)
        elif re.search(r"必须|须|需|要|请|应|得|[文诗章事品其]中|里$|^$", before):
            alternatives = "或" in text[match.end() : end]
            check = (
                MustInclude(any_of=tuple(terms))
                if alternatives
                else MustInclude(terms=tuple(terms))
            )
            yield _demand(check, match.start(), end)


def listed_words(text: str) -> Iterator[Demand]:
    """Find lists of words, without quotation marks, that must or must not stand in the text."""
    for match in _LISTED.finditer(text):
        terms = tuple(filter(None, re.split(r"[、，,\s]+", match["list"])))
        if len(terms) > 1 and not NEGATED.search(clause_before(text, match.start())):
            yield _demand(MustInclude(terms=terms), match.start(), match.end())
    for match in _BANNED.finditer(text):
        terms = tuple(filter(None, re.split(r"[、，,\s]+", match["list"])))
        if terms and all(len(term) <= 8 for term in terms):
            yield _demand(MustNotInclude(terms=terms), match.start(), match.end())


def edges(text: str) -> Iterator[Demand]:
    """Find the quoted words that the text is to start or end with."""
    for match in _EDGE.finditer(text):
        terms, end = quoted_terms(text, match.end(), re.compile("(?!)"))
        if not terms or re.search("每|各", clause_before(text, match.start())):
            continue
        place = _PLACE.match(text, end)
        if match["by_place"] or place:
            named = match["by_place"] or ""
            is_end = re.search("结尾|最后|末", named) is not None or bool(place and place["end"])
            check = Ending(text=terms[0]) if is_end else Opening(text=terms[0])
            yield _demand(check, match.start(), place.end() if place else end)
