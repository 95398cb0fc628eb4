"""Which part of a text a Chinese quantity is asked of."""

import re
from collections.abc import Callable

from quillgraph.agents.checks.scope import Aim, Part, Scope
from quillgraph.agents.checks.zh.numerals import read_number

_NAMES: dict[Part, str] = {
    "paragraph": r"(?:自然)?段(?:落|文字|内容)?",
    "sentence": r"句(?:子|话)?|短句",
    "line": r"行|句诗|诗句",
    "stanza": r"(?:诗|小)?节",
    "section": r"大?(?:部分|板块|版块|模块|章节?|幕)",
    "item": r"点|个?要点",
}
_ANY = "|".join(f"(?P<{part}>{name})" for part, name in _NAMES.items())
_EACH = re.compile(
    rf"(?:每(?:一|个|一个)?|各个?|单个?|任何?一?)(?:{_ANY})"
    r"(?:的?(?:字数|长度|篇幅|文字|内容))?"
)
_PLURAL = re.compile(
    r"(?:^|[的将把让使请]|所有|全部|文章|全文)(?:(?P<paragraph>段落)|(?P<sentence>句子|单句|语句)|(?P<line>诗行|诗句))"
    r"(?:的?(?:字数|长度))?"
)
_NTH = re.compile(
    r"(?:(?P<first>首|开头(?:的?第一|的?一)?|开篇(?:的?第一|的?一)?|起首|第1|第一)"
    r"|(?P<last>末|最后(?:的?一)?|结尾(?:的?最后)?(?:的?一)?|末尾(?:的?一)?|收尾(?:的?一)?)"
    rf"|第(?P<nth>[一二三四五六七八九十\d]+))(?:个)?(?:{_ANY})"
)
_TITLE = re.compile(
    r"(?<![小副子分各级每])(?:主|大|总|文章|新闻)?(?:标题|题目)(?![自党为不限是]?[自拟定《“])"
)
_LABELS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"(?:中文|内容)?摘要"), ("摘要", "内容摘要", "中文摘要", "abstract")),
    (re.compile(r"副标题"), ("副标题",)),
)
_MADE = re.compile(
    r"(?:撰写|创作|生成|输出|完成|整理|制作|起草|拟|写|作)(?:出|成)?一[篇份封首则个段]$"
)
"""A text that is asked for behind what it is made of: 根据论文的摘要写一份."""
_UNMARKED = re.compile(
    r"开头|开场|开篇|中间|结尾|结语|结论|引言|前言|导语|小标题|分标题|口号|广告语|评论|名称|名字|简介[为约]"
    r"|分配|一段话|关键词|导言|序言|尾声|后记|互动|引导语|标语|昵称|备注|签名|每|各|分别|两篇|正文分"
    r"|台词|独白|对话|对白|主歌|副歌|间奏|高潮|主体|备选|选题|封面|话题|标签|签名|段落|句子"
)
"""Parts that a text does not mark, so that code cannot find them in it."""
_WHOLE = re.compile(
    r"全文|总字数|总篇幅|总共|整体|总计|全诗|全篇|合计|整篇|通篇|总长|文章(?!标题|题目|开头|结尾)|正文(?!分|每)"
)
_LONGEST_LABEL = 8
_SIZES = {"char": 0, "word": 0, "character": 0, "sentence": 1, "line": 1, "list": 1, "item": 1} | {
    "paragraph": 2,
    "stanza": 2,
    "section": 3,
    "title": 1,
    "label": 3,
}


def aim_in_clause(clause: str, label: str, unit: str) -> Aim:
    """Find what a quantity is asked of.

    Args:
        clause: What stands before it in its clause.
        label: What its line begins with, up to a colon.
        unit: What is counted.
    """
    made = list(_MADE.finditer(clause))
    clause = clause[made[-1].end() :] if made else clause
    places = [
        (match.end(), order, read(match))
        for order, (pattern, read) in enumerate(_READERS)
        for match in pattern.finditer(clause)
    ]
    if not places and label:
        return aim_in_clause(label, "", unit) if len(label) <= _LONGEST_LABEL else "whole"
    if not places:
        return "whole"
    aim = max(places, key=lambda each: each[:2])[2]
    if isinstance(aim, Scope) and aim.part == unit and not aim.at:
        return "whole"  # 段落不超过三段
    if isinstance(aim, Scope) and unit == "line" and aim.part != "stanza":
        return "unclear"  # lines of prose depend on the page
    if isinstance(aim, Scope) and _SIZES[aim.part] <= _SIZES[unit]:
        return "unclear"
    return aim


def names_another_noun(clause: str, text: str) -> bool:
    """Whether a clause is about something that is not the text that is asked for.

    寄语不超过50字 is about a part that nothing else in the request names; 教案不超过1000字 is
    about the text where a 教案 was asked for.
    """
    subject = _LINKS.sub("", clause.strip(" -•*\t0123456789.)）"))
    if not 1 < len(subject) <= _LONGEST_SUBJECT or _TEXT.search(subject):
        return False
    asked = rf"(?:{_MAKING})[^，。；\n]{{0,30}}{re.escape(subject[-2:])}"
    return re.search(asked, text) is None


_LINKS = re.compile(
    r"(?:[要应需须不能可得请约为是在的]|控制|保持|最好|尽量|必须|一定|大[概约]|字数|长度|篇幅|部分|建议|本身|自身)+$"
)
"""What stands between a subject and its number."""
_MAKING = r"写|创作|生成|设计|制定|制作|拟|起草|撰|编|准备|整理|形成|输出|提供|给|来|需要|完成|作"
_TEXT = re.compile(
    rf"{_MAKING}|[文稿信篇诗词章书]$|用|以|把|将|分|扩|缩|改|讲|说|内容|全|总|整|字|故事|小说|报告|日记"
    r"|段|句|行|节|除|含|计|标点|化|变|成|要求|正文|限|从|由|共|长|译|概括|介绍|总结|续|压|精简|减|提炼|描述|不少|至少|最多|[一二两三四五六七八九十]"
)
"""What a text is called or asked for by."""
_LONGEST_SUBJECT = 6


def _each(match: re.Match[str]) -> Aim:
    return Scope(part=_part(match))


def _nth(match: re.Match[str]) -> Aim:
    if match["nth"]:
        number = read_number(match["nth"])
        return Scope(part=_part(match), at=number) if number else "unclear"
    return Scope(part=_part(match), at=1 if match["first"] else -1)


def _part(match: re.Match[str]) -> Part:
    groups = match.groupdict()
    return next(part for part in _NAMES if groups.get(part))


def _titled(_: re.Match[str]) -> Aim:
    return Scope(part="title")


def _labelled(match: re.Match[str]) -> Aim:
    name = match[0]
    labels = next(labels for pattern, labels in _LABELS if pattern.fullmatch(name))
    return Scope(part="label", labels=labels)


def _whole(_: re.Match[str]) -> Aim:
    return "whole"


def _unclear(_: re.Match[str]) -> Aim:
    return "unclear"


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Aim]], ...] = (
    (_WHOLE, _whole),
    (_UNMARKED, _unclear),
    (_PLURAL, _each),
    (_EACH, _each),
    (_NTH, _nth),
    (_TITLE, _titled),
    *((pattern, _labelled) for pattern, _ in _LABELS),
)
"""What each word says; of two at the same place the later one stands."""
