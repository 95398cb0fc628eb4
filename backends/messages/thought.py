"""Where the thinking of a reply ends and its text begins, in the marks that models write.

Thinking stands at the beginning of a reply. The same marks within a text are words of the text: a
story may quote them. What a mark at the very beginning is, cannot be known, and is taken for
thinking.
"""

import re

_NAME = (
    r"(?:\w{1,12}[:|])?(?:\w{1,12}_)?think(?:ing)?(?:[_:]\w{1,12})?|thoughts?|reasoning|scratchpad"
)

_OPENING = re.compile(rf"\s*(?:<(?P<name>{_NAME})>|◁(?P<moon>think(?:ing)?)▷)", re.IGNORECASE)
"""`<think>` and its like, as most models write it: Qwen, DeepSeek, GLM, Seed, Kimi, Claude."""

THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of a message in which servers and LangChain's classes put a model's own reasoning."""

_MARKS = {
    "[THINK]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<|thinking|>": "<|/thinking|>",
    "<|channel>thought": "<channel|>",
    "<unused94>thought": "<unused95>",
}
"""Opening and closing marks of Magistral, OpenThinker, Command A, K3 and Gemma."""

_PROSE = re.compile(r"\s*here(?:'s| is) my thought process:", re.IGNORECASE)
_PROSE_END = re.compile(r"here(?:'s| is) my response:", re.IGNORECASE)
"""How Granite parts the two."""

_QUOTES = tuple("`\"'“”‘’「」『』")

_CLOSING = re.compile(
    "|".join([rf"</(?:{_NAME})>", r"◁/think(?:ing)?▷", *map(re.escape, _MARKS.values())]),
    re.IGNORECASE,
)
_ANY_OPENING = re.compile(
    "|".join([rf"<(?:{_NAME})>", r"◁think(?:ing)?▷", *map(re.escape, _MARKS)]), re.IGNORECASE
)

_WRAPS = (
    (r"<(answer|solution|response|output|final)>", r"</{}>"),
    (r"<\|begin_of_(solution)\|>", r"<\|end_of_{}\|>"),
    (r"<\|START_(RESPONSE|TEXT)\|>", r"<\|END_{}\|>"),
    (r"<\|open\|>(response)<\|sep\|>", r"<\|close\|>{}<\|sep\|>"),
)
"""Marks around the text that come behind thinking."""

_HARMONY = re.compile(r"\s*(?:<\|start\|>assistant\s*)?<\|channel\|>")
_HARMONY_PART = re.compile(
    r"<\|channel\|>\s*(?P<channel>\w+)(?P<to>[^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(?P<words>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_BARE_HARMONY = re.compile(
    r"\s*analysis(?P<thinking>\S.*?)(?:assistant\s*)?assistantfinal(?P<text>.*)", re.DOTALL
)
_BARE_HARMONY_CUT = re.compile(r"\s*analysis(?=[A-Z\"'“])")
"""gpt-oss's channels, with their marks and as they read where a decoder has left these out."""


def split_thinking(reply: str, *, opened: bool = False) -> tuple[str | None, str]:
    """Part a reply into its text and its thinking.

    Args:
        reply: What was written.
        opened: Whether its prompt ended in an opening mark, as some chat templates have it: then
            all words up to the closing mark are thinking, and all of them where there is none.

    Returns:
        The text, None where the thinking was cut off before it; and the thinking.
    """
    thoughts: list[str] = []
    text: str | None = reply
    while text is not None and (parted := _first(text, opened=opened)) is not None:
        text, thinking = parted
        text = text if text is None else _unwrapped(text).strip()
        opened = False
        thoughts.append(thinking.strip())
    return text, "\n\n".join(each for each in thoughts if each)


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt ends in an opening mark, so that its reply begins with thinking."""
    marks = list(_ANY_OPENING.finditer(prompt))
    return bool(marks) and not prompt[marks[-1].end() :].strip()


def _first(text: str, *, opened: bool) -> tuple[str | None, str] | None:
    """The text behind the first thinking, and this thinking; None where there is none."""
    if _HARMONY.match(text):
        return _of_channels(text)
    if bare := _BARE_HARMONY.fullmatch(text):
        return bare["text"].strip(), bare["thinking"]
    if cut := _BARE_HARMONY_CUT.match(text):
        return None, text[cut.end() :]
    if opening := _OPENING.match(text):
        name = re.escape(opening["name"] or opening["moon"])
        closing = rf"</{name}>" if opening["name"] else rf"◁/{name}▷"
        return _split(text[opening.end() :], re.compile(closing, re.IGNORECASE))
    for mark, end in _MARKS.items():
        if text.lstrip().startswith(mark):
            return _split(text.lstrip()[len(mark) :], re.compile(re.escape(end)))
    if prose := _PROSE.match(text):
        return _split(text[prose.end() :], _PROSE_END)
    if opened:
        return _split(text, _CLOSING)
    closing_mark = _CLOSING.search(text)
    if closing_mark is None or not _is_border(text, *closing_mark.span()):
        return None
    return text[closing_mark.end() :], text[: closing_mark.start()]


def _split(words: str, closing: re.Pattern[str]) -> tuple[str | None, str]:
    end = closing.search(words)
    return (None, words) if end is None else (words[end.end() :], words[: end.start()])


def _is_border(text: str, start: int, end: int) -> bool:
    """Whether a closing mark that nothing has opened ends thinking, and is not quoted by a text.

    The prompt has opened it then. Such a mark begins its line, stands behind a whole sentence or
    right behind a word, or before a blank line; within a sentence, in quotation marks or behind an
    opening one it is a word.
    """
    if _ANY_OPENING.search(text, 0, start):
        return False
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if text[end : end + 1] in _QUOTES or line[-1:] in _QUOTES:
        return False
    is_alone = not line.strip() or text.startswith("\n\n", end)
    return is_alone or not line[-1].isspace() or line.rstrip()[-1] in ".!?。！？…:：*)"


def _of_channels(text: str) -> tuple[str | None, str]:
    parts = [(each["channel"], each["words"].strip()) for each in _HARMONY_PART.finditer(text)]
    finals = [words for channel, words in parts if channel == "final"]
    others = [words for channel, words in parts if channel != "final"]
    return (finals[-1] if finals else None), "\n\n".join(others)


def _unwrapped(text: str) -> str:
    """The text without the marks around it that come behind thinking."""
    for opening, closing in _WRAPS:
        begin = re.match(rf"\s*{opening}", text, re.IGNORECASE)
        if begin:
            inner = text[begin.end() :]
            return re.split(closing.format(begin[1]), inner, maxsplit=1, flags=re.IGNORECASE)[0]
    return text
