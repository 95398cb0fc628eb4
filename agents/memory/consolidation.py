"""The consolidator: turn an episode into operations on a pool of lessons.

Its prompt contrasts the best and the worst text of a request by their scores and critiques. It
never holds the texts themselves, so that none of their words can pass into a lesson
(`ALGORITHM.md` 6.4; the operations follow Training-Free GRPO, arXiv:2510.08191).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from quillgraph.agents.domain import Dropped, WritingTask
from quillgraph.agents.memory.candidates import candidates
from quillgraph.agents.memory.hygiene import fault_of
from quillgraph.agents.memory.lesson import (
    LEAST_LESSON_CHARS,
    MOST_LESSON_CHARS,
    Contrast,
    Fate,
    Lesson,
    Operation,
)
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, some_of, text
from quillgraph.agents.role import Answers, Role, ask, ask_each, lost_reply
from quillgraph.backends.errors import ReplyError

MOST_OPERATIONS = 3
"""Most lessons from one episode (`ALGORITHM.md` 6.4)."""

MOST_LISTED = 16
"""Most lessons of the pool in the prompt; a full pool would outweigh the episode."""

NEW = "new"
"""Id that stands for a new lesson in a reply."""

CAPACITY = 64
"""Most lessons of one genre (`ALGORITHM.md` 6.4)."""

TRIAL_USES = 5
"""Uses after which a lesson without a gain is dropped (`ALGORITHM.md` 6.4)."""


async def consolidate(
    task: WritingTask, contrast: Contrast, pool: Sequence[Lesson], role: Role
) -> Answers[Operation]:
    """Ask what an episode teaches.

    A model that writes replies with operations on the lessons in its prompt. A small model chooses
    among lessons that code has written, and each choice becomes an ADD.

    Args:
        task: The request of the episode.
        contrast: The scores, critiques and plans of the episode.
        pool: The lessons of the task's genre.
        role: The consolidator.

    Returns:
        At most `MOST_OPERATIONS` operations; a reply that cannot be parsed is dropped.
    """
    if role.chooses:
        return await _choose(task, contrast, role)
    closest = _closest(pool, contrast.criteria)
    answers: Answers[BaseModel] = await ask_each(
        role,
        render(
            "consolidating",
            request=task.request,
            scores="\n".join(_score_line(contrast, name) for name in contrast.criteria),
            revisions="\n".join(map(_revision_line, contrast.revisions)) or "none",
            lessons="\n".join(map(_lesson_line, closest)) or "none",
        ),
        _operation_form([lesson.id for lesson in closest], contrast.criteria),
        item=task.request_hash,
        stage="consolidation",
        at_most=MOST_OPERATIONS,
        temperature=0.3,
        max_tokens=200 * MOST_OPERATIONS + 40,
    )
    return Answers(tuple(map(_operation, answers.items)), answers.dropped)


def apply(
    pool: Sequence[Lesson],
    operations: Iterable[Operation],
    task: WritingTask,
    *,
    now: str,
    judged_texts: Sequence[str] = (),
    capacity: int = CAPACITY,
) -> tuple[tuple[Lesson, ...], tuple[Dropped, ...]]:
    """Apply operations to the pool of a genre, then drop the lessons that failed or are too many.

    An ADD of a known lesson, up to case and blanks, raises the support of that lesson. An UPDATE
    keeps the id and the uses of its lesson, and raises its support; if the new words are those of
    another lesson, the two merge.

    Then lessons that gained nothing in `TRIAL_USES` uses are dropped. If the pool is still over
    its capacity, those with the least support are dropped first, and among equals the one that
    was used or confirmed longest ago. Lessons that these operations added or confirmed are
    dropped last: otherwise a full pool would never try a new one.

    Args:
        pool: The lessons of the task's genre.
        operations: The operations, applied in this order.
        task: The request of the episode; new lessons get its genre and language.
        now: Time of the change, ISO 8601.
        judged_texts: Texts of the episode; a lesson that is copied from one is refused.
        capacity: Most lessons in the pool.

    Returns:
        The new pool, and the drops: operations with a fault, and lessons that were removed.
    """
    lessons = {lesson.id: lesson for lesson in pool}
    dropped: list[Dropped] = []
    fresh: set[str] = set()
    for operation in operations:
        if fault := _fault(operation, lessons, judged_texts):
            dropped.append(_drop(fault, operation.text))
        elif operation.operation == "DELETE":
            del lessons[str(operation.id)]
        elif operation.operation != "NONE":
            lesson = _updated_lesson(operation, lessons, task, now)
            lessons[lesson.id] = lesson
            fresh.add(lesson.id)
    for lesson in [each for each in lessons.values() if _has_failed(each)]:
        del lessons[lesson.id]
        dropped.append(_drop(f"no gain in {lesson.uses} uses", lesson.text))
    by_worth = sorted(lessons.values(), key=lambda each: (each.id in fresh, *_worth(each)))
    for lesson in by_worth[: max(0, len(lessons) - capacity)]:
        del lessons[lesson.id]
        dropped.append(_drop(f"least supported of more than {capacity}", lesson.text))
    return tuple(lessons.values()), tuple(dropped)


async def _choose(task: WritingTask, contrast: Contrast, role: Role) -> Answers[Operation]:
    lessons = candidates(contrast, task.language)
    options = {f"n{number}": each for number, each in enumerate(lessons, 1)}
    if not options:
        return Answers(())
    lines = [f"{key}: {each.text}" for key, each in options.items()]
    try:
        choice: Any = await ask(
            role,
            render("choosing_lessons", request=role.brief(task), lessons="\n".join(lines)),
            form("LessonsChoice", keep=some_of(options, most=MOST_OPERATIONS)),
            item=task.request_hash,
            temperature=0.3,
            max_tokens=20 + 8 * MOST_OPERATIONS,
        )
    except ReplyError as error:
        return Answers((), (lost_reply("consolidation", role, error),))
    return Answers(tuple(options[key] for key in dict.fromkeys(choice.keep)))


def _operation_form(ids: Sequence[str], names: Sequence[str]) -> type[BaseModel]:
    # an empty pool has nothing to update or delete
    kinds = ("ADD", "UPDATE", "DELETE", "NONE") if ids else ("ADD", "NONE")
    return form(
        "Operation",
        operation=one_of(kinds),
        id=one_of([*ids, NEW]),
        condition=text(0, MOST_LESSON_CHARS),
        strategy=text(0, MOST_LESSON_CHARS),
        polarity=one_of(["do", "avoid"]),
        criteria=some_of(names),
    )


def _operation(answer: Any) -> Operation:
    is_new = answer.operation == "ADD" or answer.id == NEW
    return Operation(
        operation=answer.operation,
        id=None if is_new else answer.id,
        condition=" ".join(answer.condition.split()).rstrip(" :,，："),
        strategy=" ".join(answer.strategy.split()),
        polarity=answer.polarity,
        criteria=tuple(dict.fromkeys(answer.criteria)),
    )


def _closest(pool: Sequence[Lesson], names: Iterable[str]) -> list[Lesson]:
    """The lessons about these criteria first, then those with the most support."""
    wanted_names = {name.casefold() for name in names}

    def order(lesson: Lesson) -> tuple[bool, int, str]:
        about = {name.casefold() for name in lesson.criteria}
        return not about & wanted_names, -lesson.support, lesson.id

    return sorted(pool, key=order)[:MOST_LISTED]


def _score_line(contrast: Contrast, name: str) -> str:
    return f"{name}: best {_score(contrast.best, name)}, worst {_score(contrast.worst, name)}"


def _score(scores: Mapping[str, float], name: str) -> str:
    # a missing score is "unread", because a zero would teach something false
    return f"{scores[name]:g}" if name in scores else "unread"


def _revision_line(fate: Fate) -> str:
    change = "" if fate.delta is None else f" ({fate.delta:+.2f})"
    parts = [f"critique: {line}" for line in fate.critique]
    parts += [f"plan: {line}" for line in fate.plan]
    return f"{'kept' if fate.accepted else 'taken back'}{change}: {'; '.join(parts) or '-'}"


def _lesson_line(lesson: Lesson) -> str:
    return f"{lesson.id}: {lesson.text} [{', '.join(lesson.criteria)}]"


def _fault(
    operation: Operation, lessons: Mapping[str, Lesson], judged_texts: Sequence[str]
) -> str | None:
    if operation.operation == "NONE":
        return None
    if operation.operation != "ADD" and operation.id not in lessons:
        return "unknown id"
    if operation.operation == "DELETE":
        return None
    if min(len(operation.condition), len(operation.strategy)) < LEAST_LESSON_CHARS:
        return f"shorter than {LEAST_LESSON_CHARS} characters"
    if not operation.criteria:
        return "no criterion"
    return fault_of(operation.condition, operation.strategy, judged_texts)


def _updated_lesson(
    operation: Operation, lessons: dict[str, Lesson], task: WritingTask, now: str
) -> Lesson:
    """The lesson that results from an ADD or UPDATE; a lesson that merges into it is removed."""
    same = _normal(operation.text)
    twin = next((each for each in lessons.values() if _normal(each.text) == same), None)
    old = lessons.get(operation.id or "") if operation.operation == "UPDATE" else None
    if twin is None and old is None:
        return _new(operation, lessons, task, now)
    if twin is None or twin is old:
        assert old is not None
        words = operation.model_dump(include={"condition", "strategy", "polarity", "criteria"})
        return old.model_copy(update={**words, "support": old.support + 1, "confirmed": now})
    if old is not None:
        # the updated words equal those of another lesson, so the two merge
        del lessons[old.id]
        twin = twin.model_copy(
            update={
                "support": twin.support + old.support,
                "uses": twin.uses + old.uses,
                "gain": twin.gain + old.gain,
                "last_used": max(twin.last_used, old.last_used),
            }
        )
    about = tuple(dict.fromkeys([*twin.criteria, *operation.criteria]))
    changes = {"criteria": about, "support": twin.support + 1, "confirmed": now}
    return twin.model_copy(update=changes)


def _new(
    operation: Operation, lessons: Mapping[str, Lesson], task: WritingTask, now: str
) -> Lesson:
    return Lesson(
        id=_id(task.genre, operation.text, lessons),
        condition=operation.condition,
        strategy=operation.strategy,
        polarity=operation.polarity,
        criteria=operation.criteria,
        genre=task.genre,
        language=task.language,
        confirmed=now,
    )


def _id(genre: str, words: str, lessons: Mapping[str, Lesson]) -> str:
    """An id from a hash of the words; salted if a lesson whose words have changed has that id."""
    salt = ""
    while True:
        digest = hashlib.sha256(f"{genre}\n{_normal(words)}{salt}".encode()).hexdigest()
        if (lesson_id := f"l-{digest[:10]}") not in lessons:
            return lesson_id
        salt += "\n"


def _normal(words: str) -> str:
    return " ".join(words.casefold().split())


def _has_failed(lesson: Lesson) -> bool:
    return lesson.uses >= TRIAL_USES and lesson.gain / lesson.uses <= 0


def _worth(lesson: Lesson) -> tuple[int, str, str]:
    return lesson.support, max(lesson.last_used, lesson.confirmed), lesson.id


def _drop(reason: str, words: str) -> Dropped:
    return Dropped(stage="consolidation", agent="consolidator", reason=reason, text=words)
