"""Demands in Chinese requests on who tells, who speaks, in which language and in which form."""

import re
from collections.abc import Iterator
from typing import Literal

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import LineCount
from quillgraph.agents.checks.demand import Demand, unquoted
from quillgraph.agents.checks.manner import ClassicalVerse, Dialogue, Format, Person, WrittenIn
from quillgraph.agents.checks.zh.wording import WORDING
from quillgraph.agents.checks.zh.words import NEGATED, NOT, clause_before

_NO_DIALOGUE = re.compile(
    r"(?:不要|不得|不能|避免|禁止|不用|不使用|不含|不包含|没有|无)(?:有|出现|使用|包含|写"
    r"|用)?(?:任何|人物)?对(?:话|白)"
)
_DIALOGUE = re.compile(
    r"(?:以|用|采用)[^，。；\n]{0,6}对话(?:的)?(?:形式|体|方式)|对话(?:体|形式)"
    r"|(?:包含|加入|穿插|运用|要有|需有|添加|写出?|增加|有)(?:一?[些段]|适当的?|大量的?|生动的?"
    r"|人物|角色|丰富的?)*(?:人物|角色)?对(?:话|白)(?!框|系统|选项|关系)"
)
_PERSON = re.compile(r"第([一二三])人称")
_PERSONS: dict[str, Literal["first", "second", "third"]] = {
    "一": "first",
    "二": "second",
    "三": "third",
}
_LANGUAGE = re.compile(
    r"(?:用|以|使用|请用|采用|翻译成|译成|译为|写成)(?P<name>英|中|汉|日|法|德|韩|俄|西班牙"
    r"|意大利|葡萄牙|阿拉伯)(?:文|语)"
    r"(?=写|撰写|回答|创作|来|输出|表达|作答|完成|介绍|编写|书写|回复|给|帮|生成|写作|，|。|；|！"
    r"|\s|$)"
    r"|(?:[篇词字]的?|写)\s*(?P<essay>英|中|日|法|德)(?:文|语)(?:作文|短文|文章)(?!教学|课|能力"
    r"|水平)"
)
_CODES = {
    "英": "en",
    "中": "zh",
    "汉": "zh",
    "日": "ja",
    "法": "fr",
    "德": "de",
    "韩": "ko",
    "俄": "ru",
    "西班牙": "es",
    "意大利": "it",
    "葡萄牙": "pt",
    "阿拉伯": "ar",
}
_FORMS: tuple[tuple[str, Check], ...] = (
    (
        r"(?<![利可])(?:以|用|采用|做成|整理成|列成)(?:\s*markdown\s*)?[^，。；\n]{0,6}表格(?:的)?(?:形式)?",
        Format(form="table"),
    ),
    (
        r"(?:以|用|采用|整理成)[^，。；\n]{0,6}(?:列表|清单)(?:的)?(?:形式|格式)",
        Format(form="list"),
    ),
    (r"(?:不要|不得|不能|避免|请勿)(?:使用|用)?(?:分点|列表|项目符号)", Format(form="no_list")),
    (
        r"(?:不要|不|避免|请勿)(?:使用|用)?\s*markdown(?:格式)?|(?:用|以|输出)纯文本",
        Format(form="no_markdown"),
    ),
    (
        r"(?:写|撰写|创作|拟写|写作)(?:给[^，。；\n]{1,10})?一封[^，。；：\n]{0,24}信(?!息|任|仰"
        r"|心)|书信(?:的)?(?:形式|格式|体)",
        Format(form="letter"),
    ),
)
_POEMS: tuple[tuple[str, Check], ...] = (
    (r"五言绝句|五绝", ClassicalVerse(lines=4, characters=5)),
    (r"七言绝句|七绝", ClassicalVerse(lines=4, characters=7)),
    (r"五言律诗|五律", ClassicalVerse(lines=8, characters=5)),
    (r"七言律诗|七律", ClassicalVerse(lines=8, characters=7)),
    (r"绝句", ClassicalVerse(lines=4)),
    (r"律诗", ClassicalVerse(lines=8)),
    (r"十四行诗", LineCount(min=14, max=14)),
    (r"俳句", LineCount(min=3, max=3)),
)
_ONE_POEM = re.compile(
    r"(?:写|作|创作|赋|吟|来|填|拟|改写?成|仿写)(?:出|成)?(?:一首|首"
    r"|个)?(?P<between>[^，。；：\n]{0,20}?)"
    rf"(?:{'|'.join(f'(?P<p{at}>{form})' for at, (form, _) in enumerate(_POEMS))})"
    r"(?!的(?:故事|历史|特点|书|文章|赏析|格律|区别|知识|写法|规则|由来)|格律|赏析|史|知识|大赛|比赛|课|教"
    r"|[^。；\n]{0,12}(?:[和与及加、，]|以及)[一两二三四五六七八九十各另\d]+首|[和与及、](?:[五七]|绝|律|俳|十四))"
)
_SPOKEN_ABOUT = re.compile(
    r"介绍|解释|关于|什么|分析|讲解|谈|论|说明|如何|怎[么样]|的|文章|故事|散文|科普|背|读|仿佛|绝句|律诗|[五七][律绝]|、|[和与及]一?首"
)


def _demand(check: Check, start: int, end: int) -> Demand:
    return Demand(check=check, name=check.name_in(WORDING), start=start, end=end)


def dialogue(text: str) -> Iterator[Demand]:
    """Find whether people are to speak in the text."""
    spoken = unquoted(text)
    taken: list[tuple[int, int]] = []
    for match in _NO_DIALOGUE.finditer(spoken):
        taken.append(match.span())
        yield _demand(Dialogue(present=False), match.start(), match.end())
    for match in _DIALOGUE.finditer(spoken):
        inside = any(match.start() < end and start < match.end() for start, end in taken)
        if not inside and not NEGATED.search(clause_before(spoken, match.start())):
            yield _demand(Dialogue(present=True), match.start(), match.end())


def person(text: str) -> Iterator[Demand]:
    """Find the grammatical person that the text is to be told in."""
    spoken = unquoted(text)
    for match in _PERSON.finditer(spoken):
        before = clause_before(spoken, match.start())
        if not re.search(rf"(?:{NOT})[^，。]{{0,4}}$", before):
            yield _demand(Person(person=_PERSONS[match[1]]), match.start(), match.end())


def language(text: str) -> Iterator[Demand]:
    """Find the language that the text is to be written in."""
    spoken = unquoted(text)
    for match in _LANGUAGE.finditer(spoken):
        if not NEGATED.search(clause_before(spoken, match.start())):
            code = _CODES[match["name"] or match["essay"]]
            yield _demand(WrittenIn(language=code), match.start(), match.end())


def forms(text: str) -> Iterator[Demand]:
    """Find demands on the outer form: tables, lists, letters, and poems of fixed length."""
    spoken = unquoted(text)
    for pattern, check in _FORMS:
        for match in re.finditer(pattern, spoken, re.IGNORECASE):
            if not re.search(r"关于[^，。]*$|讲述", clause_before(spoken, match.start())):
                yield _demand(check, match.start(), match.end())
    for match in _ONE_POEM.finditer(spoken):
        at = next(at for at in range(len(_POEMS)) if match[f"p{at}"])
        if re.search("[ぁ-ん]", match[0] + spoken[match.end() : match.end() + 1]):
            continue  # a Japanese haiku may stand on one line
        between = re.sub("的$", "", match["between"])
        if _SPOKEN_ABOUT.search(re.sub(r"^[^，。]{0,14}的(?=$)", "", match["between"]) and between):
            continue
        if not re.search(r"[两二三四五六七八九十几多组系\d]{1,3}首|组诗", match[0]):
            yield _demand(_POEMS[at][1], match.start(), match.end())
