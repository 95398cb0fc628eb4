"""Calls of a role: ask, parse, ask once more, then drop and count."""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import json_repair
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field, ValidationError

from quillgraph.agents.domain import Dropped, WritingTask
from quillgraph.agents.replies import answer_of
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

_STRING = r'"(?:[^"\\]|\\.)*+"'
_STRINGS = re.compile(_STRING, re.DOTALL)
_FENCED = re.compile(r"\s*```\w*\s*\n(.*?)\s*```\s*", re.DOTALL)
_COMMA_TOO_MANY = re.compile(rf"({_STRING})|,(?=\s*[\]}}])", re.DOTALL)

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
    conversation, reply, before = list(messages), "", None
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
        is_cut = message.response_metadata.get("finish_reason") == "length" or breaks_off(reply)
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
    why = answer_of(message).missing
    expected = f"{form.__name__} as JSON from role {role.name!r}"
    raise ReplyError(f"{expected} ({why})" if why else expected, reply)


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
        return _salvage(error.reply, form, at_most=at_most, stage=stage, agent=role.name)


def lost_reply(stage: str, role: Role, error: ReplyError) -> Dropped:
    """The record of a reply that could not be read at the second attempt either."""
    return Dropped(stage=stage, agent=role.name, reason="reply", text=error.reply[:200])


def read_reply(reply: str, form: type[T]) -> T:
    """Read a reply into its form, forgiving code fences and broken JSON syntax.

    Raises:
        ValidationError: If the reply does not fit.
    """
    try:
        return form.model_validate_json(reply)
    except ValidationError:
        return form.model_validate(_repaired(reply))


def breaks_off(reply: str) -> bool:
    """Whether JSON ends within a string, or before the value or bracket that must follow.

    A reply that lacks only its last brackets does not break off: all of its values are there.
    """
    rest = _STRINGS.sub('""', fenced[1] if (fenced := _FENCED.fullmatch(reply)) else reply)
    rest = rest.rstrip("` \n")
    is_open = rest.count("{") + rest.count("[") > rest.count("}") + rest.count("]")
    return is_open and (rest.count('"') % 2 == 1 or not rest.endswith(('"', "}", "]")))


def _repaired(reply: str) -> Any:
    # json_repair may end a string at a comma before a bracket, so it comes last
    inner = fenced[1] if (fenced := _FENCED.fullmatch(reply)) else reply
    try:
        return json.loads(_COMMA_TOO_MANY.sub(lambda match: match[1] or "", inner))
    except (RecursionError, ValueError):
        pass
    try:
        return json_repair.loads(reply)
    except (RecursionError, ValueError):  # endless brackets, which small models may write
        return None


def _salvage(reply: str, form: type[T], *, at_most: int, stage: str, agent: str) -> Answers[T]:
    raw = _repaired(reply)
    items = raw.get("items") if isinstance(raw, dict) else None
    if not isinstance(items, list) or not items:
        return Answers((), (Dropped(stage=stage, agent=agent, reason="reply", text=reply[:200]),))
    kept: list[T] = []
    dropped: list[Dropped] = []
    if not reply.rstrip("` \n").endswith(("}", "]")):
        # cut short: its last item may be incomplete
        half = str(items.pop())[:200]
        dropped.append(Dropped(stage=stage, agent=agent, reason="cut short", text=half))
    for entry in items:
        try:
            kept.append(form.model_validate(entry))
        except ValidationError as error:
            reason = f"{form.__name__}: {_complaint(error)}"
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
