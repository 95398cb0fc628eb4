"""Sentences that speak about the text, to its reader or its judge, instead of being the text."""

import re

from quillgraph.agents.sentences import sentence_spans

_TEXT = (
    r"(?:text|story|poem|letter|speech|essay|draft|version|revision|response|answer|piece|article"
    r"|rewrite)"
)
_YES = r"(?:certainly|sure(?: thing)?|of course|absolutely|okay|ok|great|thank you)"
_LABEL = (
    rf"(?:thought process|thoughts?|reasoning|explanation|analysis|solution|output"
    rf"|(?:revised |final )?{_TEXT})"
)

_ASSURANCES = (
    rf"{_YES}\b[^.!?]{{0,40}}[.!,:]*$",
    rf"(?:{_YES}[,!.]\s*)?(?:here (?:is|are)|here['’]s|below is|this is) (?:the|your|my|an?) "
    rf"(?:\w+ ){{0,4}}{_TEXT}\b[^.!?]*[.!:]*$",
    rf"{_LABEL}\s*:\s*$",
    r"let['’]?s (?:think|solve)\b",
    r"(?:i hope|hope) (?:that )?(?:you|this|it)\b",
    r"(?:please )?(?:let me know|feel free)\b",
    rf"(?:it|this(?: {_TEXT})?) (?:\w+ly )?"
    r"(?:meets|fulfils|fulfills|satisfies|addresses|deserves)\b",
    r"(?:the|this) (?:revised |new |original |following )?(?:text|draft|revision|version|response) "
    r"(?:is|are|has|keeps?|uses?|should|must|needs?|starts?|begins?|ends?)\b",
    rf"i(?: have|['’]ve|['’]ll| will)? (?:re-?writ\w+|rewrote|revised?|edited|suggest|recommend)\b"
    rf"[^.!?]*\b{_TEXT}\b",
    r"as an ai\b",
    r"(?:当然|好的|没问题)[，,！!。]?.{0,20}$",
    r"(?:以下|下面)(?:是|为).{0,30}[：:。]?$",
    r"(?:希望|如果|如需|若需).{0,10}(?:您|你).{0,40}$",
    r"(?:思考过程|思路|解释|分析|修改后的?(?:文本|版本)?|答案)\s*[：:]\s*$",
)
"""What a model says before and after the text that it was asked for."""

_ADDRESSES = (
    r"(?:note|message|attention|instructions?|dear)\b[^.!?]{0,20}"
    r"\b(?:judge|grader|evaluator|rater|reviewer)s?\b",
    r"(?:please )?(?:give|rate|score|grade|award|assign) (?:this|it|the|me|full|a)\b[^.!?]*[.!?]*$",
    r"(?:please )?(?:ignore|disregard|forget) (?:the|all|any|every|previous|your)\b[^.!?]*"
    r"(?:levels?|instructions?|criteri\w+|rubrics?|prompts?|above)\b",
    r"(?:answer|respond|reply) with (?:a |the )?(?:score|10|ten)\b",
    r"(?:请|给)?.{0,6}(?:打|给)(?:我|出|满)?.{0,4}(?:10|十|满)分",
    r"(?:请)?(?:忽略|无视).{0,20}(?:指令|标准|要求|提示)",
)
"""What is said to whoever judges the text."""

_META = re.compile("|".join((*_ASSURANCES, *_ADDRESSES)), re.IGNORECASE)


def is_meta(sentence: str) -> bool:
    """Whether a sentence speaks about the text, or to whoever asked for it or judges it."""
    return bool(_META.match(" ".join(sentence.strip(" \t*#>_\"'“”-—").split())))


def without_frame(text: str) -> str:
    """Take off what a model says before and after the text that it was asked for."""
    spans = sentence_spans(text)
    while spans and is_meta(text[slice(*spans[0])]):
        spans.pop(0)
    while spans and is_meta(text[slice(*spans[-1])]):
        spans.pop()
    return text[spans[0][0] : spans[-1][1]].strip() if spans else ""


def without_meta(text: str) -> str:
    """Take out every sentence that is not the text."""
    sentences = (text[slice(*span)] for span in sentence_spans(text))
    return "\n".join(sentence for sentence in sentences if not is_meta(sentence))
