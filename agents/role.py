"""Calls of a role: ask, parse, ask once more, then drop and count."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field, ValidationError

from quillgraph.agents.domain import Dropped, WritingTask
from quillgraph.agents.replies import CUT, answer_of
from quillgraph.agents.reply import breaks_off, has_one_reading, mended
from quillgraph.agents.reply import form as list_of
from quillgraph.backends.calls import (
    Budget,
    Place,
    budgets_of,
    config_around,
    handlers_around,
    within,
)
from quillgraph.backends.capabilities import capabilities_of
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ReplyError
from quillgraph.backends.messages import was_cut

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Role:
    """A part that a model plays: its name, its model and the seed of its calls."""

    name: str
    model: BaseChatModel
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    """What the run may still spend; roles of one run share it."""
    is_learned_from: bool = False
    """Whether a training learns from its texts; they are then sampled without the options that
    steady a small model (`agents.writers.sampling`)."""

    @property
    def items_per_call(self) -> int:
        """How many items the role's backend can take in one call."""
        return capabilities_of(self.model).items_per_call

    @property
    def chooses(self) -> bool:
        """Whether the model is too small to name things in its own words, so that it chooses."""
        return self.items_per_call == 1

    def brief(self, task: WritingTask) -> str:
        """The request as this role reads it: whole, or cut for a small model."""
        return task.brief if self.chooses else task.request

    def seed_for(self, item: str) -> int:
        """Derive a call's seed from the run's seed and what the call is about.

        It does not depend on the order of calls, so fan-out stays reproducible.
        """
        digest = hashlib.sha256(f"{self.seed}/{self.name}/{item}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """The valid items of a reply, and what was dropped."""

    items: tuple[T, ...]
    dropped: tuple[Dropped, ...] = ()
    reply: AIMessage | None = None
    """The message that the items were read from; None where parts of it were dropped."""


async def side_by_side(calls: Iterable[Awaitable[U]]) -> list[U]:
    """Make calls at the same time.

    Raises:
        Exception: The first failure in the order of the calls, once all have ended: the others are
            paid for, and a durable graph keeps their answers.
    """
    results = await asyncio.gather(*calls, return_exceptions=True)
    answers: list[U] = []
    for each in results:
        if isinstance(each, BaseException):
            raise each
        answers.append(each)
    return answers


async def say(
    role: Role, messages: Sequence[BaseMessage], *, item: str, **options: Any
) -> AIMessage:
    """Ask for free text.

    Args:
        role: The role to call.
        messages: The rendered prompt.
        item: What the call is about; the call's seed is derived from it.
        options: Sampling options of the call.
    """
    return await _call(role, messages, item=item, attempt=0, options=options)


async def ask(
    role: Role, messages: Sequence[BaseMessage], form: type[T], *, item: str, **options: Any
) -> T:
    """Ask for one JSON object and read it into `form`; ask once more if the reply does not fit.

    Raises:
        ReplyError: If the second reply does not fit either.
    """
    value, _ = await _asked(role, messages, form, item=item, **options)
    return value


async def _asked(
    role: Role, messages: Sequence[BaseMessage], form: type[T], *, item: str, **options: Any
) -> tuple[T, AIMessage]:
    conversation, before = list(messages), None
    for attempt in (0, 1):
        message = await _call(
            role,
            conversation,
            item=item,
            attempt=attempt,
            supersedes=before,
            options={"json_schema": form.model_json_schema(), **options},
        )
        reply = answer_of(message).words
        # some servers say "stop" where the length ended a reply
        is_cut = was_cut(message) or breaks_off(reply)
        try:
            # a repaired half of a reply would pass as the whole
            value = form.model_validate_json(reply) if is_cut else read_reply(reply, form)
        except ValidationError as error:
            if is_cut and "max_tokens" in options:
                options["max_tokens"] *= 2
            before = message.id
            conversation = [*messages, message, HumanMessage(_complaint(error))]
        else:
            return value, message
    raise unread_error(role, message, f"{form.__name__} as JSON")


def unread_error(role: Role, message: AIMessage, expected: str) -> ReplyError:
    """Make the error of a reply that could not be used.

    Args:
        role: The role that was asked.
        message: Its last reply.
        expected: What was asked for.
    """
    missing = answer_of(message).missing
    expected = f"{expected} from role {role.name!r}"
    if missing == CUT:
        _say_no_room(role.name, _room(role))
        expected += ", after the thinking, which was cut short"
        return ReplyError(expected, str(message.content), _room(role))
    return ReplyError(f"{expected} ({missing})" if missing else expected, str(message.content))


@cache
def _say_no_room(name: str, room: str) -> None:
    logger.warning("role %r was still thinking when its tokens were spent; %s", name, room)


def _room(role: Role) -> str:
    """How to give a role's model more room to think."""
    granted = getattr(role.model, "thinking_tokens", None)
    if granted is not None:
        return f"{ROOM}raise thinking_tokens (now {granted})"
    return (
        f"{ROOM}thinking_tokens is an option of openai:MODEL@ADDRESS?thinking_tokens=4000; with "
        "another backend turn the thinking off"
    )


async def ask_each(
    role: Role,
    messages: Sequence[BaseMessage],
    form: type[T],
    *,
    item: str,
    stage: str,
    at_most: int,
    at_least: int = 1,
    **options: Any,
) -> Answers[T]:
    """Ask for a list of items, once more if the reply does not fit; then drop only the bad items.

    A reply without any usable item is dropped as a whole; the record of calls keeps its text.
    """
    entries: Any = list[form]  # type: ignore[valid-type]  # the form is a value here
    whole = list_of(
        f"{form.__name__}List",
        items=Annotated[entries, Field(min_length=at_least, max_length=at_most)],
    )
    try:
        answer: Any
        answer, reply = await _asked(role, messages, whole, item=item, **options)
        return Answers(tuple(answer.items), reply=reply)
    except ReplyError as error:
        return _salvage(error, form, at_most=at_most, stage=stage, agent=role.name)


def lost_reply(stage: str, role: Role, error: ReplyError) -> Dropped:
    """The record of a reply that could not be read at the second attempt either."""
    return _lost(stage, role.name, error)


def _lost(stage: str, agent: str, error: ReplyError) -> Dropped:
    if error.remedy.startswith(ROOM):
        return Dropped(stage=stage, agent=agent, reason=THINKING_CUT, text=error.remedy)
    return Dropped(stage=stage, agent=agent, reason="reply", text=error.reply[:200])


THINKING_CUT = "thinking cut short"
"""Reason of a `Dropped` whose text says how to give the model room to think."""
ROOM = "give the model room to think: "
LARGER_OR_ROOM = "a larger model may do better; one that thinks needs room for it (thinking_tokens)"
"""What may help where a stage is left with nothing."""


def nothing_left(expected: str, dropped: Sequence[Dropped], reply: str = "") -> ReplyError:
    """Make the error of a stage that got no usable reply.

    Args:
        expected: What the stage needs, and from whom.
        dropped: What was dropped on the way.
        reply: What to show where nothing was dropped.
    """
    for each in dropped:
        if each.reason == THINKING_CUT:
            return ReplyError(f"{expected} after the thinking, which was cut short", "", each.text)
    return ReplyError(expected, dropped[0].text if dropped else reply)


def read_reply(reply: str, form: type[T]) -> T:
    """Read a reply into its form, forgiving code fences and broken JSON syntax.

    Raises:
        ValidationError: If the reply does not fit, or its values can be read in two ways.
    """
    try:
        value = form.model_validate_json(reply)
        if has_one_reading(reply):
            return value
    except ValidationError:
        pass
    return form.model_validate(mended(reply))


def _salvage(
    error: ReplyError, form: type[T], *, at_most: int, stage: str, agent: str
) -> Answers[T]:
    reply = error.reply
    raw = mended(reply, is_part=True)
    items = raw.get("items") if isinstance(raw, dict) else None
    if not isinstance(items, list) or not items:
        return Answers((), (_lost(stage, agent, error),))
    kept: list[T] = []
    dropped: list[Dropped] = []
    if not reply.rstrip("` \n").endswith(("}", "]")):
        # cut short: its last item may be incomplete
        half = str(items.pop())[:200]
        dropped.append(Dropped(stage=stage, agent=agent, reason="cut short", text=half))
    for entry in items:
        try:
            kept.append(form.model_validate(entry))
        except ValidationError as misfit:
            reason = f"{form.__name__}: {_complaint(misfit)}"
            dropped.append(Dropped(stage=stage, agent=agent, reason=reason, text=str(entry)[:200]))
    reason = f"{form.__name__}: more than the {at_most} that were asked for"
    for extra in kept[at_most:]:
        dropped.append(Dropped(stage=stage, agent=agent, reason=reason, text=str(extra)[:200]))
    return Answers(tuple(kept[:at_most]), tuple(dropped))


async def _call(
    role: Role,
    messages: Sequence[BaseMessage],
    *,
    item: str,
    attempt: int,
    options: dict[str, Any],
    supersedes: str | None = None,
) -> AIMessage:
    nodes = Place.of(config_around()["metadata"]).nodes
    # a budget that hears the call as a callback must not count it twice
    is_heard = role.budget in budgets_of(handlers_around())
    if not is_heard:
        role.budget.admit(nodes)
    is_stopped = is_heard and isinstance(role.model, ChatBackend)
    async with within(() if is_stopped else (role.budget,), nodes):
        reply = await role.model.ainvoke(
            list(messages),
            config={"metadata": {"role": role.name, "attempt": attempt, "supersedes": supersedes}},
            seed=role.seed_for(f"{item}/{attempt}"),
            **options,
        )
    if not is_heard:
        role.budget.count(reply, nodes)
    return reply


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the reply"
    return f"{where}: {first['msg']}. Answer again with JSON of the asked form only."
