"""Demands of length in Chinese requests: 字数, 段落, 部分, 诗行, of the text or of a part of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from quillgraph.agents.checks.demand import LOOSE, Demand, count_demand, tell_unclear, unquoted
from quillgraph.agents.checks.quantity import Quantity, Token, quantities, tokens_of
from quillgraph.agents.checks.scope import Aim, Scope
from quillgraph.agents.checks.zh.quantities import WORDS
from quillgraph.agents.checks.zh.scopes import aim_in_clause, names_another_noun
from quillgraph.agents.checks.zh.wording import WORDING

_CLAUSE_START = re.compile(r"[，,。；;！!？?\n：:（(、）)]|但是?|并且?(?=不)")
_LABEL = re.compile(r"(?:^|\n)[\s\-•*#\d.、]*(?P<label>[^，。：:\n；]{1,12})[：:][^\n。；]*$")
_ITEM_NOTE = re.compile(r"^\s*(?:[-•*·]|\d+[.)、）])[^，。；]{1,16}[（(]$")
"""A list item with a length in brackets behind it: the length of that part."""
_IN_NOTE = re.compile(r"^\s*(?:[-•*·]|\d+[.)、）])[^（(]*[（(][^）)]*$")
"""Anywhere in such brackets."""
_REPORTED = re.compile(
    r"写了|(?:以下|下面)[是为]|共有|已有|现有|原文|原稿|初稿|上述|上面|以上|这[篇段封个份]|该[文书篇]"
    r"|读了|读过|收到|长达|看了|背了|认识|达到了|全书|学了|有一[篇份个段封][^，。]{0,6}$"
    r"|(?<![要应需须])有$|关于[^，。；]*(?<!的)$|[^要]用了|讲述.*[封篇]$|每[天日]|一天|只[能会准许可让]|(?:[她他]|主角|主人公)[^，。]{0,8}$"
    r"|^(?:请|帮我)?(?:为|给(?!我)|替|根据|读|看)[^，。写作成出]{0,8}[本部册篇]$|抄了|欠了|[成写用]了$|[记讲写]一[次件场回]$|本文|一共|可以?分|删[掉去]?$|增加$|扩充?了|减少$|^(?:多|少)写?$|再[写加]?$|我的[^，。]{0,6}(?:只有|有|是)$"
)
_ONLY = re.compile(r"(?:写|作)(?:出)?一?[个篇段则首]只(?:有|用|需)$")
_ABOUT = re.compile(
    r"(?:如何|怎[么样]|为什么|为何)[^，。；]{0,4}$"
    r"|关于[^，。；]*(?<![的到成为至])$|以[^，。；]*为(?:题|主题)的[^，。；]*(?<!的)$"
)
"""What ends within the topic of a text."""
_TITLE = re.compile("《[^《》\n]*》")
_TOLD = re.compile(
    r"(?:谈|讲述|讲讲|讨论|探讨|介绍|说明|解释|描写|描述|表现|评论|分析|反思|为什么|如何|怎[么样])"
    r"[^，。；写作成出]*(?<![的到成为至])$"
)
"""The like, where a noun follows: 谈谈为什么不读五千字的长文."""
_NOT_A_LENGTH = re.compile(
    r"\s*(?:成语|词语|真言|口诀|的?名字|名称|俗语|谚语|总结|口号|内涵|英文单词|[^，。]{0,6}(?:作文|文章)(?:技巧|怎么))"
)
_OTHER_TEXT = re.compile(
    r"(?:的|字)?[^，。；\n]{0,8}(?:和|与|以及|加|跟|并附)(?:一[篇段个份句首则]|\d+[字个])"
)
"""What follows the length of one of two texts: 10个字的名字和一段100字的介绍."""
_VERSE = re.compile(r"诗|歌|词牌|绝句|律|对联|春联")
_SEVERAL = re.compile(
    r"(?:写|生成|创作|设计|撰写|给出|拟|来|提供|制作|输出)(?!于)[^，。；\n]{0,6}?"
    r"(?:[两二三四五六七八九十几多\d]+|一(?=[组系套]))(?:篇|则|条|首|封|份|个版本|组|系列|套|款)(?!散文的开头)"
    r"|分别写|各写一[篇则条首封份]"
)
"""What shows that several texts are asked for."""
_SHRUNK = re.compile(
    r"压缩|缩写|精简|缩减|删减|改[写成为]|扩写|扩充|扩展|控制|提炼|概括|浓缩|续写|写(?![了过的])"
)
_MAKING = r"写|作|创作|用|分|共|由|控制|为|以|限|成|编|要求|按|包[含括]|采用|来|需|要"
_FEWEST_BARE = 50
_FEWEST = 5
"""Fewer characters than this are the length of a name or a verse, not of a text."""
_FEWEST_OF_PART = 2
_FAR = 3
"""Times the length of a part from which a length behind it is one of the whole."""


def lengths(text: str) -> Iterator[Demand]:
    """Find how long the text or a part of it is to be, and of how many lines or paragraphs."""
    spoken = re.sub(
        "《[^《》\n]*》", lambda title: "《" + "\0" * (len(title[0]) - 1), unquoted(text)
    )
    if not re.search("[一-龥]", spoken):
        return
    tokens = tokens_of(spoken, WORDS)
    last: tuple[Quantity, Aim] | None = None
    for quantity in quantities(tokens, WORDS):
        start = tokens[quantity.first].start
        clause, line = _before(spoken, start)
        if last and last[0].directions and last[0].last == quantity.first:
            clause = ""  # 200字以上300字以下
        unit = _unit(quantity, tokens)
        aim = _carried_on(quantity, clause, tokens, last) or _aim(clause, line, unit)
        last = (quantity, aim)
        aim = _aim_in(aim, unit, spoken)
        if aim == "whole" and unit not in ("section", "list") and not quantity.has_length:
            aim = "unclear" if names_another_noun(clause, spoken) else aim
        if unit == "sentence" and re.search("[下上这那后前]$", clause):
            continue
        after = spoken[tokens[quantity.last - 1].end :][:16]
        before = spoken[: tokens[quantity.number].start]
        if aim == "unclear":
            tell_unclear(spoken[start : tokens[quantity.last - 1].end])
        elif _is_asked(quantity, aim, unit, (clause, line, after), before):
            scope = aim if isinstance(aim, Scope) else None
            demand = count_demand(quantity, tokens, scope, WORDING, unit=unit)
            # the words that name the part belong to its quote
            named = len(clause.lstrip()) if isinstance(aim, Scope) else 0
            yield replace(demand, start=demand.start - named)


def _aim(clause: str, line: str, unit: str) -> Aim:
    if unit == "section" and not re.search("[每各第]", clause):
        return "whole"  # it comes behind the names of the parts
    label = _LABEL.search(line)
    return aim_in_clause(clause, label["label"] if label else "", unit)


def _aim_in(aim: Aim, unit: str, text: str) -> Aim:
    """What an aim is in a request for verse, for several texts, or for a title and no more."""
    is_verse = _VERSE.search(text) is not None
    if _is_of_verses(unit, aim) if is_verse else unit == "stanza":
        return "unclear"
    if not isinstance(aim, Scope):
        return aim
    if (aim.at or aim.part in ("title", "label")) and _SEVERAL.search(text):
        return "unclear"  # each text has one of its own
    return "whole" if _is_made_itself(aim, text) else aim


def _is_of_verses(unit: str, aim: Aim) -> bool:
    """Whether it counts the sentences of a poem, which are verses and end in any mark."""
    return unit == "sentence" or (isinstance(aim, Scope) and aim.part == "sentence")


def _is_made_itself(scope: Scope, text: str) -> bool:
    """Whether the request asks for a title or an abstract and no more than that."""
    name = {"title": "标题|题目", "label": "|".join(scope.labels)}.get(scope.part)
    verb = r"(?:写|取|拟|起|想)(?:[出一]?[个份篇则])?"
    made = rf"{verb}[^，。；：\n和与及、]{{0,16}}(?:{name})(?=[，。；！\n]|$)"
    return name is not None and re.search(made, text) is not None


def _before(text: str, start: int) -> tuple[str, str]:
    """What stands before a place in its clause, and in its line."""
    line = text[text.rfind("\n", 0, start) + 1 : start][-200:]
    starts = [stop.end() for stop in _CLAUSE_START.finditer(line)]
    return line[starts[-1] if starts else 0 :], line


def _unit(quantity: Quantity, tokens: Sequence[Token]) -> str:
    if quantity.unit:
        return quantity.unit
    named = "".join(token.text for token in tokens[quantity.first : quantity.number])
    return "word" if "词数" in named else "char"


def _carried_on(
    quantity: Quantity,
    clause: str,
    tokens: Sequence[Token],
    last: tuple[Quantity, Aim] | None,
) -> Aim | None:
    """What the quantity before it is asked of, if it goes on with that: 标题10字以上，20字以内."""
    if last is None or clause.strip(" 但而且并") or quantity.by_length:
        return None
    earlier, aim = last
    gap = tokens[earlier.last : quantity.first]
    if aim == "whole" or any(token.kind == "stop" for token in gap) or len(gap) > 3:
        return None
    return aim if quantity.high < _FAR * earlier.high else None


def _is_asked(
    quantity: Quantity, aim: Aim, unit: str, around: tuple[str, str, str], before: str
) -> bool:
    """Whether the count is asked for, and not told of something else."""
    clause, line, after = around
    if (
        _ITEM_NOTE.search(line)
        or (aim != "whole" and _IN_NOTE.search(line))
        or (unit in LOOSE and _NOT_A_LENGTH.match(after))
    ):
        return False
    if unit == "char" and after[:1] == "的" and re.search("关于[^，。；]*$", clause):
        return False
    told = _ABOUT.search(clause) or (_TOLD.search(clause) and after.lstrip()[:1] == "的")
    if told and not quantity.has_length:
        return False
    # in 把这段500字的文字缩写成100字 the second number is asked for
    near = re.split("字(?!数)", clause)[-1]
    shrunk = list(_SHRUNK.finditer(near))
    near = near[shrunk[-1].end() :] if shrunk else near
    is_told = _REPORTED.search(near) and not _ONLY.search(clause)
    if is_told and not quantity.has_length and not re.search("字数|篇幅", clause):
        return False
    if isinstance(aim, Scope):
        return _is_asked_of_part(quantity, aim, unit)
    if unit in LOOSE:
        if _OTHER_TEXT.match(after):
            return False
        least = _FEWEST if quantity.is_qualified else _FEWEST_BARE
        return quantity.high >= least
    return _is_division(quantity, unit, clause, before)


def _is_asked_of_part(quantity: Quantity, scope: Scope, unit: str) -> bool:
    if unit in LOOSE and scope.part in ("sentence", "line"):
        return quantity.high >= _FEWEST_OF_PART
    return unit != "section"


def _is_division(quantity: Quantity, unit: str, clause: str, before: str) -> bool:
    """Whether a number of paragraphs, lines or parts is a demand on the form."""
    near = clause[-14:]
    if quantity.has_length:
        return True
    if unit == "section":
        listed = re.search(r"分(?![析享钟别数])[为成]?[^。；\n]{0,80}$", before)
        if not listed:
            return False
        near = before[max(0, listed.start() - 10) :]
        return not re.search(r"正文|主体|每|中间|故事", near)
    asked = quantity.directions & {"most", "least"}
    if unit == "paragraph":
        # 一段 is a passage rather than one paragraph
        if quantity.high == 1 and not re.search("自然", clause):
            return False
        return bool(
            not clause.strip() or asked or re.search(rf"(?:{_MAKING})[^每第各]{{0,4}}$", near)
        )
    if unit == "list":
        return bool(re.search(r"(?:用|以|分[为成]?|列出|写|[为成]|共|按)\s*$", near))
    if unit == "sentence" and quantity.high == 1 and not re.search(r"(?:用|以|写[出成]?)$", near):
        return False
    return bool(
        not clause.strip()
        or asked
        or re.search(rf"(?:{_MAKING}|诗|[篇首段个])\s*(?:[^每第各]{{0,4}})$", near)
    )
