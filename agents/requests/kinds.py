"""What kind of thing a phrase of a request names, and the circumstances that the request sets.

A lens fits some kinds only: a baker can have wishes of their own, a toast cannot. The rules are
word lists, so that anybody can see why a phrase was taken for what; what they do not know is
a thing.
"""

import re
from collections.abc import Sequence
from typing import Literal

from quillgraph.agents.checks.check import ClassicalVerse, Dialogue
from quillgraph.agents.checks.count import (
    CharCount,
    CountRange,
    LineCount,
    ListCount,
    SentenceCount,
    StanzaCount,
    WordCount,
)
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.agents.text.phrases import is_negated, is_placed

DemandKind = Literal[
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

Circumstance = Literal["verse", "brief", "practical", "sober", "silent"]
"""Silent is a text in which nobody but the writer speaks, a letter or one without dialogue."""

FEWEST_LINES, FEWEST_WORDS, FEWEST_CHARACTERS = 10, 60, 100
"""A text held shorter than this is brief: there is no room for people to talk. A Chinese
character is about 0.6 words (`scripts.LETTERS_PER_CHARACTER`)."""

_FACT = re.compile(
    r"^[\d０-９]|^(?:one|two|three|four|five|six|seven|eight|nine|ten)\s+(?:\w+\s+)?(?:words?|lines?"
    r"|sentences?|paragraphs?|bullets?|points?|stanzas?|pages?|minutes?)$"
    r"|^(?:mon|tues|wednes|thurs|fri|satur|sun)day$|\b\d+\s*[ap]\.?m\b"
    r"|^[一二三四五六七八九十百千万两]+个?(?:字|行|段|句|篇|页|条|点|要点|部分)|^(?:星期|周)[一二三四五六日天]",
    re.IGNORECASE,
)
_LENGTH = re.compile(r"^(?:very )?(?:short|long|brief|concise)$|^(?:简短|短小|篇幅.{0,4})$", re.I)
_FORM_EN = re.compile(
    r"(?:stor(?:y|ies)|tales?|poems?|poetry|verses?|haikus?|sonnets?|limericks?|ballads?|odes?"
    r"|quatrains?|couplets?|lyrics|songs?|letters?|memos?|memorandum|e-?mails?|toasts?|speech(?:es)?"
    r"|eulog(?:y|ies)|obituary|essays?|articles?|reports?|reviews?|blogs?|posts?|novels?|novellas?"
    r"|scripts?|screenplays?|monologues?|dialogues?|diary|invitations?|cards?|adverts?"
    r"|advertisements?|slogans?|captions?|tweets?|guides?|manuals?|notices?|announcements?"
    r"|newsletters?|proposals?|plans?|summary|abstract|notes?|fables?|myths?|sketch(?:es)?"
    r"|scenes?|chapters?|biography|outlines?|pitch|statements?|recipes?|press release|bio)"
)
_FORM_ZH = re.compile(
    r"(?:家书|书信|(?<![相自迷确通])信|信件|诗|诗歌|歌词|小说|故事|散文|作文|短文|文章|论文|报告|演讲|稿|剧本|文案"
    r"|通知|公告|评论|日记|童话|寓言|推文|广告|邮件|悼词|祝词|致辞|说明书|计划书|方案|总结|备忘录|科普)$"
)
_PERSON_EN = re.compile(
    r"(?:wom[ae]n|m[ae]n|people|persons?|child(?:ren)?|kids?|bab(?:y|ies)|boys?|girls?|guys?|sons?"
    r"|daughters?|(?:grand|step)?(?:mother|father|son|daughter)s?|mom|mum|dad|grandma|grandpa"
    r"|parents?|brothers?|sisters?|aunts?|uncles?|cousins?|nephews?|nieces?|wi(?:fe|ves)|husbands?"
    r"|friends?|brides?|grooms?|couple|twins?|hero(?:es)?|heroines?|nurses?|cooks?|guests?|clerks?"
    r"|monks?|priests?|kings?|queens?|princes?|princess(?:es)?|thie(?:f|ves)|spy|spies|robots?"
    r"|pirates?|ghosts?|students?|patients?|clients?|residents?|customers?|colleagues?|staff"
    r"|crowd|family|team|audience|\w+(?:man|men|woman|women|folk)"
    r"|\w{3,}(?:er|or|ist|eur|ician)s?)"
)
_NO_PERSON_EN = re.compile(
    r"(?:paper|winter|summer|weather|water|river|tower|power|flower|shower|dinner|supper|number|order"
    r"|corner|matter|\w+ber|laughter|silver|copper|leather|feather|harbou?r|colou?r|humou?r|door"
    r"|floor|mirror|error|terror|horror|honou?r|labou?r|behaviou?r|flavou?r|favou?r|odou?r|rumou?r"
    r"|computer|border|shelter|theater|center|disorder|danger|anger|hunger|finger|shoulder|butter"
    r"|sugar|soccer|ladder|letter|poster|chapter|timer|printer|tractor|motor|elevator|twist|mist"
    r"|fist|list|wrist|thunder|wonder|murder|disaster|monitor|supper|counter|easter"
    r"|layer|prayer|drawer|trailer|over|under|after|other|another|ever|never|together|rather)s?"
)
_PERSON_ZH = re.compile(
    r"(?:父亲|母亲|爸爸?|妈妈?|爷爷|奶奶|外婆|外公|祖父|祖母|儿子|女儿|孩子|婴儿|女孩|男孩|姑娘|小伙子?|朋友"
    r"|同学|老师|教师|医生|护士|学生|先生|女士|主人公|主角|妻子|丈夫|兄弟|姐妹|哥哥|弟弟|姐姐|妹妹|邻居|警察"
    r"|士兵|读者|顾客|客户|粉丝|同事|员工|青年|少年|(?<!个)人|人们|人物|[店演队船官成]员|记者|作者|学者|厨师|司机|校长)$"
)
_MANNER_EN = re.compile(
    r"(?:tone|style|voice|mood|manner|language|register|tense|atmosphere|humou?r|wit|irony|dry|funny|witty|humorous|formal|informal|casual|warm|gentle"
    r"|calm|serious|sober|playful|simple|plain|professional|poetic|lyrical|ironic|sarcastic|solemn"
    r"|cheerful|restrained|friendly|polite|quiet|light|vivid|clear|sincere|honest|tender|eerie|cozy"
    r"|dreamy|dramatic|suspenseful|conversational|humble|respectful|upbeat)"
)
_MANNER_ZH = re.compile(
    r"语气|风格|文风|语言|笔调|基调|口吻|文笔|氛围|节奏|用词"
    r"|(?:克制|朴实|幽默|简洁|优美|生动|正式|温馨|轻松|严肃|活泼|细腻|平实|含蓄|悬疑|诙谐)$"
)
_VIEWPOINT = re.compile(
    r"\b(?:first|second|third)[- ]person\b|\bpoint of view\b|\bperspective$|\bviewpoint$|人称|视角",
    re.IGNORECASE,
)
_FEELING_EN = re.compile(
    r"(?:afraid|scared|lonely|sad|happy|angry|proud|worried|anxious|homesick|jealous|grief|fears?"
    r"|love|longing|joy|sorrow|nostalgia|hope|loss|regret|jealousy|anger|loneliness|guilt|shame"
    r"|homesickness|tenderness|gratitude|happiness|sadness)"
)
_FEELING_ZH = re.compile(
    r"(?:害怕|恐惧|思念|孤独|悲伤|忧伤|喜悦|愤怒|爱|乡愁|怀念|遗憾|感动|情感|感情|亲情|友情|爱情|心情|之情|怕黑)$"
)
_ACTION_EN = re.compile(
    r"(?!(?:wedding|evening|morning|building|spring|string|ceiling)\b)\w{2,}ing\s+\w|(?:feel|find|take|go|come|learn|become|leave|lose|meet|happen|return|celebrate"
    r"|honou?r|invite|thank|encourage|promote|save|travel)s?\b"
    r"|\w+\s+(?:a|an|the|my|our|your|his|her|their)\s",
    re.IGNORECASE,
)
_ACTION_ZH = re.compile(
    r"送别|告别|离别|离开|回到|回家|寻找|等待|来到|发现|遇见|拯救|庆祝|感谢|邀请|找到|学会|鼓励|.去."
)
_VERSE = re.compile(
    r"\b(?:poems?|poetry|verses?|haikus?|sonnets?|limericks?|ballads?|odes?|rhym\w+|lyrics|songs?"
    r"|quatrains?|couplets?)\b|诗|歌词|绝句|律诗|对联",
    re.IGNORECASE,
)
_PRACTICAL = re.compile(
    r"\b(?:memos?|memorandum|e-?mail|notice|announcement|report|manual|instructions"
    r"|minutes of|agenda|press release)\b|通知|公告|报告|备忘录|说明书|公文|纪要|申请书?|计划书"
    r"|方案",
    re.IGNORECASE,
)
_ONE_VOICE = re.compile(
    r"\b(?:letter|toast|speech|eulogy|diary|monologue)\b|家书|书信|封[^，。；]{0,12}信|演讲|日记|致辞|悼词|独白",
    re.IGNORECASE,
)
_SOBER = re.compile(
    r"\b(?:no|not|without|avoid\w*|never|don['’]t)\b[^.,;]{0,20}\b(?:jok|humou?r|funny|comic|witty)"
    r"|(?:不要|不得|不能|避免|切勿|不)[^，。；]{0,6}(?:搞笑|幽默|玩笑|笑话)|\bserious\b|严肃",
    re.IGNORECASE,
)


def kind_of(phrase: str) -> DemandKind:
    """Tell what a phrase names, by its last word in English and by its last characters in Chinese.

    In "keeper of bees" the word before "of" counts.
    """
    if is_negated(phrase):
        return "ban"
    if is_placed(phrase):
        return "edge"
    if _FACT.search(phrase):
        return "fact"
    if _LENGTH.search(phrase):
        return "length"
    if _VIEWPOINT.search(phrase):
        return "viewpoint"
    if re.search("[一-龥]", phrase):
        return _chinese(phrase)
    return _english(phrase)


def _chinese(phrase: str) -> DemandKind:
    core = phrase.strip("《》“”「」 ")
    if phrase.startswith("《"):
        return "thing"
    ends: tuple[tuple[DemandKind, re.Pattern[str]], ...] = (
        ("manner", _MANNER_ZH),
        ("form", _FORM_ZH),
        ("action", _ACTION_ZH),
        ("person", _PERSON_ZH),
        ("feeling", _FEELING_ZH),
    )
    return next((kind for kind, pattern in ends if pattern.search(core)), "thing")


def _english(phrase: str) -> DemandKind:
    words = re.findall(r"[\w'’-]+", phrase.casefold().partition(" of ")[0])
    last = words[-1] if words else ""
    if _ACTION_EN.match(phrase):
        return "action"
    if _FORM_EN.fullmatch(last):
        return "form"
    if _MANNER_EN.fullmatch(last):
        return "manner"
    if _FEELING_EN.fullmatch(last):
        return "feeling"
    if _PERSON_EN.fullmatch(last) and not _NO_PERSON_EN.fullmatch(last):
        return "person"
    return "thing"


def circumstances(request: str, constraints: Sequence[Constraint]) -> frozenset[Circumstance]:
    """Tell what the request sets for the whole text, whatever phrase a lens is turned on."""
    checks = [constraint.check for constraint in constraints]
    found: set[Circumstance] = set()
    if _VERSE.search(request) or any(
        isinstance(check, LineCount | StanzaCount | ClassicalVerse) for check in checks
    ):
        found.add("verse")
    if any(isinstance(check, CountRange) and _is_brief(check) for check in checks):
        found.add("brief")
    if _PRACTICAL.search(request):
        found.add("practical")
    if _SOBER.search(request):
        found.add("sober")
    if _ONE_VOICE.search(request) or any(
        isinstance(check, Dialogue) and not check.present for check in checks
    ):
        found.add("silent")
    return frozenset(found)


def _is_brief(check: CountRange) -> bool:
    if check.max is None:
        return False
    match check:
        case WordCount():
            return check.max < FEWEST_WORDS
        case CharCount(unit="zi"):
            return check.max < FEWEST_CHARACTERS
        case LineCount() | SentenceCount() | ListCount():
            return check.max < FEWEST_LINES
    return False
