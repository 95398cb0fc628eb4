"""The writer: a first draft, and revisions of it under a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage

from quillgraph.agents.domain import Dropped, WritingTask
from quillgraph.agents.judges.gate import SHORTEST
from quillgraph.agents.prompt import render
from quillgraph.agents.replies import NOTHING_ASIDE, Aside, ReplyText, answer_of, reply_text
from quillgraph.agents.role import Role, lost_reply, say, unread_error
from quillgraph.agents.text.meta_talk import without_frame
from quillgraph.agents.text.sentences import up_to_last_sentence
from quillgraph.agents.writers.reflection import Plan, Reflection, bulleted
from quillgraph.agents.writers.sampling import writing_options
from quillgraph.agents.writers.splice import splice
from quillgraph.backends.errors import BudgetReached, ReplyError
from quillgraph.backends.messages import TokenTrace, trace_of, was_cut

TRIES = 2
"""Attempts at a text: one under `SHORTEST` characters is asked for once more."""


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and the tokens that the writer sampled for it."""

    text: str
    trace: TokenTrace | None
    """None where the backend gives none, and where words around the text were taken off; thinking
    is a part of what the writer did, and its tokens stay."""
    aside: Aside = NOTHING_ASIDE
    """What the reply held beside the text."""


@dataclass(frozen=True, slots=True)
class Precedents:
    """What a writer learns from earlier episodes."""

    lessons: tuple[str, ...] = ()
    success: str | None = None
    """Beginning of a text that was accepted for a similar request."""
    error: str | None = None
    """Beginning of an attempt that was rolled back."""
    excerpts: tuple[str, ...] = ()
    """Ids of the entries of memory that these beginnings are from."""


async def write_draft(
    task: WritingTask, precedents: Precedents, role: Role, *, number: int, max_tokens: int
) -> Written:
    """Write a draft from the request and what memory has on similar ones.

    `number` tells apart the drafts for one request.

    Raises:
        ReplyError: If both attempts give nothing but words about the text.
    """
    messages = drafting_prompt(role.brief(task), precedents, is_small=role.chooses)
    return await _write(task, messages, role, item=f"draft/{number}", max_tokens=max_tokens)


def drafting_prompt(
    request: str, precedents: Precedents, *, is_small: bool = False
) -> list[BaseMessage]:
    """The prompt of a draft: the request, and what memory has on similar ones.

    A small model reads the request as a person would put it: any text around it costs whole
    sentences (benchmarks/first_impression.py). It never reads an excerpt, which it would copy
    rather than learn from.
    """
    lessons = bulleted(precedents.lessons)
    if is_small:
        return render("drafting", request=request, lessons=lessons)
    excerpts = "\n".join(_excerpts(precedents))
    return render("writing", request=request, lessons=lessons, excerpts=excerpts)


async def write_one_of(
    task: WritingTask, role: Role, *, number: int, max_tokens: int, unpaid: str
) -> Written | Dropped:
    """Write one of several drafts without memory; a failed one is recorded and left out.

    Args:
        task: The request.
        role: The writer.
        number: Of the draft, from 0; the first must not fail.
        max_tokens: Longest draft, in tokens.
        unpaid: Stage under which a draft is recorded that the budget does not cover.

    Raises:
        BudgetReached: If the budget does not cover the first.
        ReplyError: If both attempts at the first are nothing but words about the text.
    """
    try:
        return await write_draft(task, Precedents(), role, number=number, max_tokens=max_tokens)
    except (BudgetReached, ReplyError) as error:
        if number == 0:
            raise
        if isinstance(error, ReplyError):
            return lost_reply("draft", role, error)
        return Dropped(stage=unpaid, agent="budget", reason=str(error), text=f"draft {number}")


async def revise(
    task: WritingTask,
    draft: str,
    plan: Plan,
    role: Role,
    *,
    lessons: Sequence[str],
    number: int,
    max_tokens: int,
) -> Written:
    """Rewrite the draft by a plan; `number` tells apart revisions of the same draft.

    A role that only chooses rewrites single sentences, see `splice`; its text then comes from
    several calls and has no trace of its own.

    Raises:
        ReplyError: If both attempts give nothing but words about the text.
    """
    if role.chooses:
        text = await splice(task, draft, plan.edits, role, number=number)
        if text is not None:
            return Written(text, None)
    fields = revising_fields(draft, plan, lessons)
    messages = render("revising", request=role.brief(task), **fields)
    return await _write(task, messages, role, item=f"revise/{number}", max_tokens=max_tokens)


def revising_fields(draft: str, plan: Plan, lessons: Sequence[str] = ()) -> dict[str, str]:
    """Fields of the prompt `revising` for a draft and its plan, apart from the request."""
    return {
        "draft": draft,
        "edits": "\n".join(f"{n}. {_edit_line(edit)}" for n, edit in enumerate(plan.edits, 1)),
        "keep": ", ".join(plan.keep) or "its length and its language",
        "lessons": bulleted(lessons),
    }


async def _write(
    task: WritingTask, messages: list[BaseMessage], role: Role, *, item: str, max_tokens: int
) -> Written:
    best, options = Written("", None), writing_options(role)
    for attempt in range(TRIES):
        reply = await say(
            role, messages, item=f"{item}/{attempt}", max_tokens=max_tokens, **options
        )
        best = max(best, _read(reply, task.request), key=lambda each: len(each.text))
        if len(best.text) >= SHORTEST:
            break
    if not best.text:
        raise unread_error(role, reply, "a text")
    return best


def _read(reply: AIMessage, request: str) -> Written:
    answer, written = answer_of(reply), written_text(reply, request)
    # what was taken off around a text has tokens too, and they earned nothing of what it is worth
    is_whole = written.words == answer.words.strip()
    return Written(written.words, trace_of(reply) if is_whole else None, written.aside)


def written_text(reply: AIMessage, request: str) -> ReplyText:
    """What a writer's reply says, up to its last whole sentence where it was cut short.

    Nothing but words about the text is no text of a writer.
    """
    written = reply_text(reply, request=request)
    if written.text and was_cut(reply):
        whole = up_to_last_sentence(answer_of(reply).words)
        written = reply_text(whole, request=request).model_copy(update={"aside": written.aside})
    if written.text is None or not without_frame(written.text):
        return written.model_copy(update={"text": ""})
    return written.model_copy(update={"text": written.text.strip()})


def _excerpts(precedents: Precedents) -> list[str]:
    excerpts = []
    if precedents.success:
        excerpts.append(f"This stood up to a similar request:\n{precedents.success}")
    if precedents.error:
        excerpts.append(f"This was tried and given up:\n{precedents.error}")
    return excerpts


def _edit_line(edit: Reflection) -> str:
    where = f' Begin at: "{edit.quote}"' if edit.quote else ""
    return f"{edit.criterion}: {edit.cause} Make it so: {edit.fix}{where}"
