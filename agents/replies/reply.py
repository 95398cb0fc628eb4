"""The text of a reply: the one that is judged, rewarded, measured, imitated and written to files.

A reply is a string, a message, a list of messages, or a list of blocks. Its text is the last answer
in it, without the model's thinking and without what it says before and after the text that it was
asked for. What is taken off is kept beside the text. Where there is no text, that is said with its
reason: it is no empty text, and never a zero.
"""

import operator
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quillgraph.agents.replies.message import (
    MessageParts,
    is_message,
    parts_of_message,
    role_name,
)
from quillgraph.agents.text.meta_talk import framed
from quillgraph.backends.messages import split_thinking

CUT = (
    "no text: the thinking was cut off before it; raise the longest reply, or ask for less thinking"
)
THOUGHT_ALONE = "no text: the reply is thinking and nothing else"
CALL_ALONE = "no text: the last reply calls a tool, and no answer follows"
NO_REPLY = "no text: there is no reply of a model"
EMPTY = "no text: the reply has no content"

_TO_A_READER = re.compile(
    r"\b(?:letters?|e-?mails?|mails?|messages?|memos?|notes?|cards?|repl(?:y|ies)|speech(?:es)?"
    r"|toasts?|newsletters?|invitations?|announcements?|posts?)\b"
    r"|封[^，。！？]{0,12}(?:信|邮件)|邮件|短信|演讲稿?|致辞|致词|发言稿|贺卡|邀请函|通知|公告",
    re.IGNORECASE,
)
"""A request for words to a reader: thanks and offers in them are the text's own."""

_SUBJECT = re.compile(r"\b(?:about|of|on|who|that|where|in which|with)\b|关于|讲述", re.IGNORECASE)
"""What follows is what the text is about, and not what it is."""


class Aside(BaseModel):
    """What a reply holds beside its text: kept, and never judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thinking: str = Field(default="", exclude_if=operator.not_)
    preface: str = Field(default="", exclude_if=operator.not_)
    """What was said before the text, and before a tool was called."""
    sign_off: str = Field(default="", exclude_if=operator.not_)
    """What was said after the text."""
    tool_calls: tuple[dict[str, Any], ...] = Field(default=(), exclude_if=operator.not_)

    def __bool__(self) -> bool:
        return self != NOTHING_ASIDE


NOTHING_ASIDE = Aside()


class ReplyText(BaseModel):
    """The text of a reply, and what stood beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None
    """None where there is none. An empty answer is an empty text."""
    missing: str | None = None
    """Why there is no text."""
    aside: Aside = NOTHING_ASIDE

    @property
    def words(self) -> str:
        """The text, empty where there is none."""
        return self.text or ""


def reply_text(reply: Any, *, request: str = "", opened: bool = False) -> ReplyText:
    """Read the text of a reply.

    Args:
        reply: A string, a message, the messages of a conversation, or the blocks of a message. Of
            messages the text is that of the last answer: not of what is said before a tool is
            called, and not of anything before the user's last turn.
        request: What was asked for. Where it asks for words to a reader, such as a letter, thanks
            and offers at the ends stay: they may be the text's own.
        opened: Whether the prompt ended in an opening mark of thinking.

    Returns:
        The text with what was taken off. Reading it once more takes nothing else off.
    """
    read = answer_of(reply, opened=opened)
    is_to_reader = _is_to_reader(request)
    while read.text and (bare := _unframed(read.text, is_to_reader)) is not None:
        # thinking may stand behind such words
        inner = answer_of(bare[1])
        read = ReplyText(
            text=inner.text,
            missing=inner.missing,
            aside=Aside(
                thinking=_joined(read.aside.thinking, inner.aside.thinking),
                preface=_joined(read.aside.preface, bare[0]),
                sign_off=_joined(bare[2], read.aside.sign_off),
                tool_calls=read.aside.tool_calls,
            ),
        )
    return read


def _unframed(text: str, is_to_reader: bool) -> tuple[str, str, str] | None:
    """What stands before a text, the text and what stands behind it; None where nothing does."""
    start, end = framed(text, is_to_reader=is_to_reader)
    # nothing but such words is no frame of anything; the gate turns it away
    if start == end or text[start:end] == text:
        return None
    return text[:start].strip(), text[start:end], text[end:].strip()


def _joined(*words: str) -> str:
    return "\n\n".join(filter(None, words))


def _is_to_reader(request: str) -> bool:
    return bool(_TO_A_READER.search(_SUBJECT.split(request, maxsplit=1)[0]))


def answer_of(reply: Any, *, opened: bool = False) -> ReplyText:
    """Read what a reply answers, with all its words: such as JSON, or a criticism.

    Args:
        reply: As for `reply_text`.
        opened: Likewise.
    """
    if isinstance(reply, str):
        return _read(MessageParts(reply, is_opened=opened))
    if is_message(reply):
        return _answer([reply], opened)
    if isinstance(reply, Sequence) and any(map(is_message, reply)):
        return _answer([each for each in reply if is_message(each)], opened)
    return _read(parts_of_message({"content": reply}), opened)


def _read(message: MessageParts, opened: bool = False) -> ReplyText:
    """The text of one message, whatever it calls."""
    is_opened = (opened or message.is_opened) and not message.thinking
    text, thinking = split_thinking(message.words or "", opened=is_opened)
    aside = Aside(thinking=_joined(*message.thinking, thinking), tool_calls=message.calls)
    if text is None:
        return ReplyText(text=None, missing=CUT, aside=aside)
    if not text.strip() and message.thinking:  # how a reply with a field for it has ended
        return ReplyText(text=None, missing=CUT if message.is_cut else THOUGHT_ALONE, aside=aside)
    if message.words is None:
        return ReplyText(text=None, missing=EMPTY, aside=aside)
    return ReplyText(text=text, aside=aside)


def _answer(messages: Sequence[Any], opened: bool) -> ReplyText:
    """The last answer of a conversation, with what its turn holds beside it."""
    turn = _last_turn(messages)
    said: list[ReplyText] = []
    prefaces: list[str] = []
    chosen = blank = None
    for place in reversed(range(len(turn))):
        if role_name(turn[place]) != "assistant":
            continue
        read = _read(parts_of_message(turn[place]), opened and len(turn) == 1)
        said.append(read)
        if read.aside.tool_calls or "tool" in map(role_name, turn[place + 1 : place + 2]):
            prefaces.append(read.words.strip())
        elif read.words.strip() or read.missing in (CUT, THOUGHT_ALONE):
            chosen = chosen or read
        else:  # an empty last word leaves the answer before it standing
            blank = blank or read
    if prefaces and chosen is None:
        chosen = ReplyText(text=None, missing=CALL_ALONE)
    chosen = chosen or blank or ReplyText(text=None, missing=NO_REPLY)
    aside = Aside(
        thinking=_joined(*(each.aside.thinking for each in reversed(said))),
        preface=_joined(*reversed(prefaces)),
        tool_calls=tuple(call for each in reversed(said) for call in each.aside.tool_calls),
    )
    return ReplyText(text=chosen.text, missing=chosen.missing, aside=aside)


def _last_turn(messages: Sequence[Any]) -> Sequence[Any]:
    """The messages behind the last user's turn that a reply follows."""
    roles = [role_name(each) for each in messages]
    if "assistant" not in roles:
        return ()
    end = len(roles) - roles[::-1].index("assistant")
    before = [place for place in range(end) if roles[place] == "other"]
    after = next((place for place in range(end, len(roles)) if roles[place] == "other"), len(roles))
    return messages[before[-1] + 1 if before else 0 : after]
