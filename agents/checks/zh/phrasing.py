"""Chinese passages: where they are cut, what their phrases name, who tells a text."""

import re

from quillgraph.agents.checks.language import ClauseBreak, PhraseKind
from quillgraph.agents.text.phrases import Phrasing

_BREAKS = re.compile(
    r"[，。、；：！？（）()\[\]【】《》“”\"‘’\s…—·,.;:!?]+"
    r"|请|写一[篇个首封份]|帮我|我(?:们)?|一[篇个首封份段种]|的|地|得|了|着|和|与|及|以及|并且?|或者?|在|以|把|将|对|向|从|为|是"
    r"|要求|需要|必须|要|须|应|能|可以|不少于|不超过|左右|进行|作为|关于|根据|通过|使用|用|让|使"
)
_EDGES = re.compile(r"^(?:描写|讲述|写|讲|表现|体现)(?=..)")
PHRASING = Phrasing(
    breaks=_BREAKS,
    edges=(_EDGES,),
    fewest_characters=2,
    longest=14,
    longest_rule=24,
    longest_rest=14,
    by_characters=True,
    also=("ja",),
)

CLAUSES = ClauseBreak(pattern=re.compile("，"), fewest=10)

DEMANDS = re.compile(
    r"请|要求|须|需要|不要|不得|不少于|不超过|字|风格|语言|语气|文风|格式|结构|创作|撰写|写一|帮我|避免|包含|包括"
)

PRONOUNS = re.compile(r"(?P<first>我|咱|俺)|(?P<second>[你您妳])|(?P<third>(?<!其)他|她|牠)")

_FORM = re.compile(
    r"(?:家书|书信|(?<![相自迷确通])信|信件|诗|诗歌|歌词|小说|故事|散文|作文|短文|文章|论文|报告|演讲|稿|剧本|文案"
    r"|通知|公告|评论|日记|童话|寓言|推文|广告|邮件|悼词|祝词|致辞|说明书|计划书|方案|总结|备忘录|科普)$"
)
_PERSON = re.compile(
    r"(?:父亲|母亲|爸爸?|妈妈?|爷爷|奶奶|外婆|外公|祖父|祖母|儿子|女儿|孩子|婴儿|女孩|男孩|姑娘|小伙子?|朋友"
    r"|同学|老师|教师|医生|护士|学生|先生|女士|主人公|主角|妻子|丈夫|兄弟|姐妹|哥哥|弟弟|姐姐|妹妹|邻居|警察"
    r"|士兵|读者|顾客|客户|粉丝|同事|员工|青年|少年|(?<!个)人|人们|人物|[店演队船官成]员|记者|作者|学者|厨师|司机|校长)$"
)
_MANNER = re.compile(
    r"语气|风格|文风|语言|笔调|基调|口吻|文笔|氛围|节奏|用词"
    r"|(?:克制|朴实|幽默|简洁|优美|生动|正式|温馨|轻松|严肃|活泼|细腻|平实|含蓄|悬疑|诙谐)$"
)
_FEELING = re.compile(
    r"(?:害怕|恐惧|思念|孤独|悲伤|忧伤|喜悦|愤怒|爱|乡愁|怀念|遗憾|感动|情感|感情|亲情|友情|爱情|心情|之情|怕黑)$"
)
_ACTION = re.compile(
    r"送别|告别|离别|离开|回到|回家|寻找|等待|来到|发现|遇见|拯救|庆祝|感谢|邀请|找到|学会|鼓励|.去."
)
_ENDS: tuple[tuple[PhraseKind, re.Pattern[str]], ...] = (
    ("manner", _MANNER),
    ("form", _FORM),
    ("action", _ACTION),
    ("person", _PERSON),
    ("feeling", _FEELING),
)


def kind_of(phrase: str) -> PhraseKind:
    """Name what a phrase is of by its last characters; a title is a thing."""
    core = phrase.strip("《》“”「」 ")
    if phrase.startswith("《"):
        return "thing"
    return next((kind for kind, pattern in _ENDS if pattern.search(core)), "thing")
