"""Demands of length in Chinese requests: 字数, 段落, 部分, 诗行."""

import re
from collections.abc import Iterator

from quillgraph.agents.checks.count import (
    CharCount,
    CountRange,
    LineCount,
    ListCount,
    ParagraphCount,
    SectionCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.checks.demand import Demand, about, unquoted
from quillgraph.agents.checks.zh.numerals import NUMBER, read_number
from quillgraph.agents.checks.zh.wording import WORDING

_AT_MOST = (
    r"不超过|不得超过|不要超过|不能超过|不多于|不得多于|不高于|不大于|不超出|最多|至多"
    r"|少于|低于|小于|限"
)
_AT_LEAST = (
    r"不少于|不低于|不得少于|不能少于|不能低于|不要少于|不小于|至少|最少|超过|多于|大于|达到"
)
_ABOUT = r"大约|大概|约为|约|近|将近"
_SUFFIX_MOST = r"以内|之内|以下|内|封顶"
_SUFFIX_LEAST = r"以上|起步|起"
_UNIT = (
    r"(?P<char>个?(?:汉|中文)?字(?!母|体|节|眼|典|形|诗|成语|经|句|真言|文(?!章)))"
    r"|(?P<word>个?(?:英文|英语)?(?:单词|词(?!语|汇|条|性|组)))|(?P<character>个?字符)"
    r"|(?P<paragraph>个?(?:自然)?段(?:落|式)?(?!时|经历|话|视|关|感|加))|(?P<sentence>句话)"
    r"|(?P<line>行)|(?P<stanza>个?(?:诗节|小节)|节(?!课|奏|日|目))"
    r"|(?P<list>[个条大]?要点)"
    r"|(?P<section>个?大?(?:部分|板块|版块|章节|章|幕))"
)
_COUNT = re.compile(
    rf"(?:(?P<least>{_AT_LEAST})|(?P<most>{_AT_MOST})|(?P<about>{_ABOUT}))?(?:为|要|在)?\s*"
    rf"(?<![第\d.])(?P<n>{NUMBER})\s*(?:字?\s*(?:-|–|—|－|~|～|至|到)+\s*(?P<m>{NUMBER}))?"
    rf"\s*(?P<more>[多余来])?\s*(?:{_UNIT})(?P<plus>\+)?"
    rf"\s*(?P<suffix>(?P<sabout>左右|上下)|(?P<smost>{_SUFFIX_MOST})|(?P<sleast>{_SUFFIX_LEAST}))?"
)
_LENGTH_OF = re.compile(
    r"(?:字数|篇幅)(?:要求|控制|限制|范围|大约|大概|应|需)?(?:在|为|是)?[:：]?\s*"
    rf"(?:(?P<least>{_AT_LEAST})|(?P<most>{_AT_MOST})|(?P<about>{_ABOUT}))?\s*"
    rf"(?P<n>{NUMBER})\s*(?:(?:-|–|—|~|至|到)\s*(?P<m>{NUMBER}))?"
    rf"(?P<suffix>(?P<sabout>左右|上下)|(?P<smost>{_SUFFIX_MOST})|(?P<sleast>{_SUFFIX_LEAST}))?"
    r"(?=\s*(?:[，。；,;、！）)\n]|$))"
)
_CHECKS: dict[str, type[CountRange]] = {
    "char": CharCount,
    "word": WordCount,
    "character": CharCount,
    "paragraph": ParagraphCount,
    "sentence": SentenceCount,
    "line": LineCount,
    "stanza": StanzaCount,
    "section": SectionCount,
    "list": ListCount,
}
_CLAUSE_START = re.compile(r"[，,。；;！!？?\n：:（(、]")
_PART = re.compile(
    r"每|各|分别|单|开头|开场|中间|结尾|结语|结论|引言|前言|导语|摘要|标题|题目|首段|末段"
    r"|第.{1,2}[段章节]"
    r"|正文(?:部分)?[分每]|段落|口号|广告语|评论|名称|简介[为约]|分配|一段话|关键词"
)
_WHOLE = re.compile(r"全文|总字数|总篇幅|总共|整体|总计|文章|全诗|全篇|合计")
_LABEL_PART = re.compile(
    r"(?:^|\n)[\s\-•*\d.、]*(?:标题|题目|摘要|开[头场]|引言|结[尾语]|互动引导|正文|总结)[:：]"
)
_ITEM_NOTE = re.compile(r"^\s*(?:[-•*·]|\d+[.)、）])[^，。；]{1,16}[（(]$")
"""A list item with a length in brackets behind it: the length of that part."""
_REPORTED = re.compile(
    r"写了|(?:以下|下面)[是为]|共有|已有|原文|上述|上面|以上|这[篇段封个]|该[文书篇]|读了|读过"
    r"|收到|长达|看了|背了"
    r"|认识|达到了"
    r"|全书|学了|(?<![要应需须])有$|关于[^，。；]*(?<!的)$|[^要]用了|讲述.*[封篇]$"
)
_NOT_A_LENGTH = re.compile(r"\s*(?:成语|词语|真言|口诀|的?名字|标题|名称|俗语|谚语|总结|口号|内涵)")
_MAKING = r"写|作|创作|用|分|共|由|控制|为|以|限|成|编|要求|按|包[含括]|采用"
_FEWEST_BARE = 50
_FEWEST = 5
"""Fewer characters than this are the length of a name or a verse, not of a text."""


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text is to be, and of how many lines, paragraphs or sections."""
    spoken = unquoted(text)
    taken: list[tuple[int, int]] = []
    for pattern in (_COUNT, _LENGTH_OF):
        for match in pattern.finditer(spoken):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            unit = _unit(match)
            taken.append(match.span())
            demand = _demand(match, unit) if _is_demanded(match, unit, spoken) else None
            if demand:
                yield demand


def _unit(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return next((unit for unit in _CHECKS if groups.get(unit)), "char")


def _is_qualified(match: re.Match[str]) -> bool:
    groups = match.groupdict()
    return any(groups.get(key) for key in ("least", "most", "about", "m", "suffix", "plus"))


def _is_demanded(match: re.Match[str], unit: str, text: str) -> bool:
    """Whether the count is asked of the whole text, and not of a part or of something else."""
    starts = [stop.end() for stop in _CLAUSE_START.finditer(text, 0, match.start())]
    clause = text[starts[-1] if starts else 0 : match.start()]
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    if re.search("每|各", clause) or _ITEM_NOTE.search(line):
        return False
    if not _WHOLE.search(clause) and (_PART.search(clause) or _LABEL_PART.search(line)):
        return False
    after = text[match.end() : match.end() + 8]
    # in 把这段500字的文字缩写成100字 the second number is asked for
    near = re.split("字(?!数)", clause)[-1]
    is_reported = _REPORTED.search(near) and not re.search(r"字数|篇幅", clause)
    if is_reported or _NOT_A_LENGTH.match(after):
        return False
    if unit in ("char", "word", "character"):
        least = _FEWEST if _is_qualified(match) else _FEWEST_BARE
        return (_numbers(match)[0] or 0) >= least
    return _is_division(match, unit, clause, text)


def _is_division(match: re.Match[str], unit: str, clause: str, text: str) -> bool:
    """Whether a number of paragraphs, lines or parts is a demand on the form."""
    near = clause[-14:]
    if unit == "section":
        listed = re.search(r"分[为成]?[^。；\n]{0,80}$", text[: match.start()])
        if not listed:
            return False
        near = text[max(0, listed.start() - 10) : match.start()]
        return not re.search(r"正文|主体|每|中间|故事", near)
    if unit == "paragraph":
        # 一段 is a passage rather than one paragraph
        if match["n"] in "一1" and not re.search(r"自然段", match["paragraph"]):
            return False
        is_named = bool(re.search(r"自然段|段落|段式", match["paragraph"]))
        if (match["least"] or match["most"]) and not clause:
            return True
        return (is_named and bool(re.search(_MAKING, near + match[0]))) or bool(
            re.search(r"分[为成]?\s*$|共\s*$|写\s*$", near)
        )
    if unit == "list":
        return bool(re.search(r"(?:用|以|分[为成]?|列出|写|[为成]|共|按)\s*$", near))
    if unit == "stanza":
        return bool(re.search(r"诗|歌|每节", text)) and bool(re.search(_MAKING, near))
    return bool(re.search(rf"(?:{_MAKING}|诗)\s*(?:[^每第各]{{0,4}})$", near))


def _numbers(match: re.Match[str]) -> tuple[int | None, int | None]:
    """Read both ends; in 2-3万 the unit of the second counts for the first too."""
    low, high = match["n"], match["m"] or ""
    if high[-1:] in ("万", "千") and low[-1] not in "万千百十":
        low += high[-1]
    return read_number(low), read_number(high)


def _demand(match: re.Match[str], unit: str) -> Demand | None:
    low, high = _numbers(match)
    if not low or (match["m"] and (not high or high < low)):
        return None
    is_about = not high and _is_about(match, unit)
    low_high = (low, high) if high else _bounds(match, low, is_about=is_about)
    fields: dict[str, int | str | None] = {"min": low_high[0], "max": low_high[1]}
    if unit == "character":
        fields["unit"] = "character"
    check = _CHECKS[unit].model_validate(fields)
    name = WORDING.about_name(check.type, low) if is_about else check.name_in(WORDING)
    return Demand(check=check, name=name, start=match.start(), end=match.end())


def _is_about(match: re.Match[str], unit: str) -> bool:
    if any(match.groupdict().get(key) for key in ("least", "most", "smost", "sleast", "plus")):
        return False
    return bool(match["about"] or match["sabout"]) or unit in ("char", "word", "character")


def _bounds(match: re.Match[str], count: int, *, is_about: bool) -> tuple[int | None, int | None]:
    if is_about:
        return about(count)
    if match["most"] or match["smost"]:
        return None, count
    if match["least"] or match["sleast"] or match.groupdict().get("plus"):
        return count, None
    return count, count
