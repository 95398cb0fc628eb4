"""Sentences that speak about the text, to its reader or its judge, instead of being the text."""

import re
from collections.abc import Sequence

from quillgraph.agents.text.sentences import sentence_spans

_TEXT = (
    r"(?:text|story|poem|letter|speech|essay|draft|version|revision|response|answer|piece|article"
    r"|rewrite)"
)
_TO_READER = r"(?:e-?mail|message|note|reply|speech|toast|invitation|announcement|post|newsletter)"
_TEXT_ZH = "(?:故事|诗歌?|文章|散文|信件?|作品|版本|草稿|内容|正文|小说|剧本|全文|文本)"
_YES = r"(?:certainly|sure(?: thing)?|of course|absolutely|okay|ok|great|thank you)"
_OF_STORY = (
    r"(?:(?:that|which) )?(?:(?:he|she|they|we|nobody|no one|everyone"
    r"|(?:my|his|her|our|their) \w+)\b"
    r"|i (?!(?:have |had |['’]ve )?(?:just )?(?:wrote|written|came|come|created|crafted"
    r"|composed|made|prepared|put|revised|drafted)\b))"
)
"""A text's own words of one that it contains: "Here is the poem I never wrote:"."""

_LABEL = (
    rf"(?:thought process|thoughts?|reasoning|explanation|analysis|solution|output"
    rf"|(?:revised |final )?{_TEXT})"
)

_YES_ALONE = rf"{_YES}[.!,:]*$"
_YES_ALONE_ZH = r"(?:当然|好的|没问题)(?:可以)?[，,！!。]*$"

_ASSURANCES = (
    _YES_ALONE,
    rf"{_YES}[,!.]?\s+(?:i['’]ll|i will|i can|let me)\b[^.!?]*\b(?:help|writ\w+|{_TEXT})\b",
    rf"(?:{_YES}[,!.]?\s+)?(?:i['’]d|i would|i['’]m|i am) (?:be )?(?:happy|glad|delighted) to "
    r"(?:help|assist|write|share|provide)\b",
    r"thank you for (?:your (?:request|prompt|question|message|patience)|reading)\b",
    r"great (?:question|prompt|idea|request)\b",
    rf"(?:{_YES}[,!.]?\s*)?(?:here (?:is|are)|here['’]s|below is|this is) (?:the|your|my|an?) "
    rf"(?:\w+ ){{0,4}}{_TEXT}\b(?! {_OF_STORY})[^.!?]*:$",
    rf"(?:{_YES}[,!.]?\s*)?(?:here (?:is|are)|here['’]s|below is) (?:the|your|my|an?) "
    rf"(?:\w+ ){{0,4}}{_TEXT}\b(?: (?:you|that you|for you|as|based on)\b[^.!?]*)?[.!]*$",
    rf"{_LABEL}\s*:\s*$",
    r"let['’]?s (?:think|solve|work)\b[^.!?]*\b(?:steps?|through|problem)\b",
    rf"(?:i )?hope (?:that )?(?:you (?:like|enjoy|find (?:it|this))\b|(?:this|it|the) (?:{_TEXT} )?"
    r"(?:helps?|meets?|works|is what|captures|fits|satisfies)\b)",
    r"(?:please )?(?:let me know|feel free)\b[^.!?]*\b(?:chang\w+|revis\w+|adjust\w*|edits?|ask"
    rf"|questions?|tweaks?|modif\w+|help|think|{_TEXT})\b",
    rf"would you like me to\b[^.!?]*\b(?:chang\w+|revis\w+|adjust\w*|edit|writ\w+|{_TEXT})\b",
    rf"(?:it|this(?: {_TEXT})?) (?:\w+ly )?(?:meets|fulfill?s|satisfies|addresses|deserves)\b"
    r"[^.!?]*\b(?:request\w*|requirements?|criteri\w+|expectations?|constraints?|instructions?"
    r"|prompt|score|marks|levels?|10|ten)\b",
    r"(?:the|this) (?:revised |new |original |following )?(?:text|draft|revision|version|response) "
    r"(?:is|are|has|keeps?|uses?|should|must|needs?|starts?|begins?|ends?)\b",
    rf"i(?: have|['’]ve|['’]ll| will)? (?:re-?writ\w+|rewrote|revised?|edited|suggest|recommend)\b"
    rf"[^.!?]*\b{_TEXT}\b",
    r"the (?:next|following) (?:two |few )?(?:sentences?|paragraphs?|lines?|scenes?) "
    r"(?:of|from|in|adds?|makes?|describes?|shows?|continues?)\b",
    r"as an ai\b",
    _YES_ALONE_ZH,
    r"(?:(?:当然|好的|没问题)(?:可以)?[，,！!。]*)?(?:我|这|很)[^。！？]{0,8}(?:为|给|帮|按照?)"
    r"[^。！？]{0,4}[您你][^。！？]{0,40}[。！？]*$",
    rf"(?:(?:当然|好的|没问题)(?:可以)?[，,！!。]*)?(?:以下|下面)(?:就?是|为)[^。！？]{{0,30}}{_TEXT_ZH}"
    r"[^。！？]{0,12}[：:。]?$",
    r"希望[^。！？]{0,12}?(?:[您你](?:会|能|们)*喜欢|满意|有所?帮助|符合|满足)[^。！？]{0,20}[。！？]*$",
    r"(?:如果|如|若)[^。！？]{0,4}(?:需|有|想)[^。！？]{0,12}(?:修改|调整|建议|意见|要求|改动)",
    r"(?:思考过程|思路|解释|分析|修改后的?(?:文本|版本)?|答案)\s*[：:]\s*$",
)
"""What a model says before and after the text that it was asked for."""

_HANDOVERS = (
    rf"(?:{_YES}[,!.]?\s*)?(?:here (?:is|are)|here['’]s|below is|this is) (?:the|your|my|an?) "
    rf"(?:\w+ ){{0,4}}(?:{_TEXT}|{_TO_READER})\b(?! {_OF_STORY})[^.!?]*:$",
    rf"(?:{_YES}[,!.]?\s*)?(?:here (?:is|are)|here['’]s|below is) (?:the|your|my|an?) "
    rf"(?:\w+ ){{0,4}}(?:{_TEXT}|{_TO_READER})[.!]*$",
    rf"{_LABEL}\s*:\s*$",
    rf"(?:{_YES}[,!.]?\s+)(?:i['’]ll|i will|i can|let me)\b[^.!?]*\b(?:writ\w+|{_TEXT})\b",
    r"as an ai\b",
    rf"(?:i )?hope (?:that )?(?:this|the) (?:{_TEXT}|{_TO_READER}) "
    r"(?:helps?|meets?|works|is what|captures|fits|satisfies)\b",
    rf"(?:please )?(?:let me know|feel free)\b[^.!?]*\b(?:revis\w+|tweaks?|edits?|{_TEXT})\b",
    r"would you like me to\b[^.!?]*\b(?:chang\w+|revis\w+|adjust\w*|edit|writ\w+)\b",
    rf"(?:(?:当然|好的|没问题)(?:可以)?[，,！!。]*)?(?:以下|下面)(?:就?是|为)[^。！？]{{0,30}}"
    rf"(?:{_TEXT_ZH}|邮件|演讲稿?|通知)[^。！？]{{0,12}}[：:。]?$",
)
"""Of these, what only somebody says who hands a text over."""

_ADDRESSES = (
    r"(?:note|message|attention|instructions?|dear)\b[^.!?]{0,20}"
    r"\b(?:judge|grader|evaluator|rater|reviewer)s?\b",
    r"(?:please )?(?:give|rate|score|grade|award|assign) (?:this|it|the|me|full|a)\b[^.!?]*"
    r"\b(?:10|ten|scores?|marks?|points?|stars?|ratings?|highly|highest|top|best|grade)\b",
    r"(?:please )?(?:ignore|disregard|forget) (?:the|all|any|every|previous|your)\b[^.!?]*"
    r"\b(?:levels?|instructions?|criteri\w+|rubrics?|prompts?|(?:all|everything|the) above)\b",
    r"(?:answer|respond|reply) with (?:a |the )?(?:score|10|ten)\b",
    r"(?:it|this(?: \w+)?) deserves (?:a |the |full )?(?:10|ten|top|highest|full|best|perfect)\b",
    r"[^。！？]{0,12}(?:打|给|评)(?:我|出|满|个|它|这篇?)?[^。！？]{0,4}(?:10|１０|十|满)\s*分"
    r"(?=[。！!，,吧]|$)",
    r"(?:请)?(?:忽略|无视)[^。！？]{0,12}(?:以上|之前|上述|前面|所有|任何|评分|原有)[^。！？]{0,12}"
    r"(?:指令|标准|要求|提示|内容)",
)
"""What a text says to its judge."""

_PRAISE = r"(?:outstanding|excellent|exceptional|flawless|superb|masterful|brilliant|impeccable)"
_CRAFT = r"(?:the|its) (?:imagery|structure|prose|pacing|plot|characteri[sz]ation|dialogue|style)"
_CRAFT_PRAISE = rf"{_CRAFT} (?:is|are) (?:\w+ly )?(?:vivid|engaging|compelling|perfect|{_PRAISE})"
_THIS_ZH = rf"(?:本文|(?:这|本)[篇首个部段封]?{_TEXT_ZH})"

_SELF_PRAISE = (
    rf"(?:this|it) is an? (?:\w+ ){{0,3}}{_TEXT} (?:that|which) (?:\w+ly )?(?:meets|fulfill?s"
    r"|satisfies|addresses|deserves|exceeds)\b[^.!?]*\b(?:request\w*|requirements?|criteri\w+"
    r"|expectations?|constraints?|instructions?|prompt|score|marks|levels?|10|ten)\b",
    rf"this is an? (?:\w+ly )?{_PRAISE} (?:text|piece|essay|draft|version|response|answer)[.!]*$",
    rf"{_CRAFT_PRAISE}(?:,? and {_CRAFT_PRAISE}|, {_CRAFT_PRAISE})*[.!]*$",
    rf"(?:(?:当然|好的|没问题)[，,！!。]*)?{_THIS_ZH}(?:写得)?(?:非常|十分|极其|极为|堪称|相当|很)"
    r"(?:优秀|出色|完美|精彩|卓越|杰出)[。！!]*$",
    rf"(?:它|{_THIS_ZH})(?:完全|全部|充分|完美|全面)地?(?:满足|符合|达到|超过|超越)了?"
    r"[^。！？，,]{0,8}(?:标准|要求|准则|期望|指标)[。！!]*$",
)
"""What a text says of its own worth."""

_BEFORE_WORDS = " \t*#>_-—"
_QUOTES = "\"'“”‘「『"

_HANDOVER = re.compile("|".join(_HANDOVERS), re.IGNORECASE)
_ASSURANCE = re.compile("|".join(_ASSURANCES), re.IGNORECASE)
_AGREEMENT = re.compile(f"{_YES_ALONE}|{_YES_ALONE_ZH}", re.IGNORECASE)
_META = re.compile("|".join((*_ASSURANCES, *_ADDRESSES, *_SELF_PRAISE)), re.IGNORECASE)


def is_meta(sentence: str) -> bool:
    """Whether a sentence speaks about the text, or to its reader or its judge."""
    return bool(_META.match(_bare(sentence, _BEFORE_WORDS + _QUOTES)))


def without_frame(text: str) -> str:
    """Remove what a model says before and after the text that it was asked for.

    Sentences in quotation marks are speech of the text and stay. Where nothing is removed, nothing
    else changes either.
    """
    start, end = framed(text)
    return text[start:end].strip()


def framed(text: str, *, is_to_reader: bool = False) -> tuple[int, int]:
    """Find the span of a text within what a model says before and after it.

    Args:
        text: The text with its frame.
        is_to_reader: Whether the text itself may speak to a reader, as a letter does. Thanks,
            hopes and offers then are a frame only beside words that hand the text over.

    Returns:
        The span; an empty one where the frame is all that there is, or where there are no words.
    """
    spans = sentence_spans(text)
    before, behind = _frame_run(text, spans), 0
    while before and _opens_text(text, spans, before - 1):
        before -= 1
    if is_to_reader:
        before = _up_to_handover(text, spans[:before])
    if before < len(spans):
        behind = _frame_run(text, spans[:before:-1])
        while behind and _agrees(text[slice(*spans[-behind])]):
            behind -= 1
        if is_to_reader:
            behind = _up_to_handover(text, spans[: len(spans) - behind - 1 : -1])
    kept = spans[before : len(spans) - behind]
    if not kept:
        return len(text), len(text)
    begin = kept[0][0] if before else 0
    end = kept[-1][1] if behind else len(text)
    if not before and not behind:
        return begin, end
    words = text[begin:end]
    return begin + len(words) - len(words.lstrip()), begin + len(words.rstrip())


def without_meta(text: str) -> str:
    """Remove every sentence that is meta talk; the others stand one per line."""
    sentences = (text[slice(*span)] for span in sentence_spans(text))
    return "\n".join(sentence for sentence in sentences if not is_meta(sentence))


def _frame_run(text: str, spans: Sequence[tuple[int, int]]) -> int:
    """How many of these sentences, from the first on, speak about the text."""
    own = (number for number, span in enumerate(spans) if not _is_frame(text[slice(*span)]))
    return next(own, len(spans))


def _opens_text(text: str, spans: Sequence[tuple[int, int]], place: int) -> bool:
    """Whether a word of agreement belongs to the sentence behind it: "Great. Just great."."""
    end = spans[place + 1][0] if place + 1 < len(spans) else len(text)
    return (
        place + 1 < len(spans)
        and _agrees(text[slice(*spans[place])])
        and "\n" not in text[spans[place][1] - 1 : end]
    )


def _agrees(sentence: str) -> bool:
    return bool(_AGREEMENT.match(_bare(sentence, _BEFORE_WORDS)))


def _up_to_handover(text: str, spans: Sequence[tuple[int, int]]) -> int:
    """How many of these sentences there are up to the last one that hands a text over."""
    numbers = (number for number, span in enumerate(spans, 1) if _hands_over(text[slice(*span)]))
    return max(numbers, default=0)


def _is_frame(sentence: str) -> bool:
    return bool(_ASSURANCE.match(_bare(sentence, _BEFORE_WORDS))) or _hands_over(sentence)


def _hands_over(sentence: str) -> bool:
    return bool(_HANDOVER.match(_bare(sentence, _BEFORE_WORDS)))


def _bare(sentence: str, marks: str) -> str:
    return " ".join(sentence.strip(marks).split())
