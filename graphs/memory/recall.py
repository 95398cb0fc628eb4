"""Choose the lessons and texts in memory that fit a request."""

from collections.abc import Iterable, Mapping, Sequence

from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.memory import Lesson, MemoryEntry, Recalled
from quillgraph.backends.embeddings import vectors

MOST_LESSONS = 3
"""Lessons in a writer's prompt (Reflexion, arXiv:2303.11366; `ALGORITHM.md` 6.4)."""

SIMILAR_REQUEST = 0.5
"""Least cosine of two requests at which a text for one may help with the other. With MiniLM,
similar English requests reach 0.51 to 0.82, others 0.41 at most; almost any two Chinese requests
exceed 0.6, so the genre has to separate those (measured, LOG.md 2026-11-23)."""


async def recalled(
    task: WritingTask,
    criteria_names: Iterable[str],
    lessons: Iterable[Lesson],
    entries: Iterable[MemoryEntry],
    embeddings: Embeddings,
    *,
    most: int = MOST_LESSONS,
) -> Recalled:
    """Choose among lessons and entries.

    Lessons of the task's genre come first, then those whose condition is nearest to the request;
    only lessons that share one of the criteria are considered. Entries are texts for the most
    similar request of the same genre and language, if it reaches `SIMILAR_REQUEST`; of several,
    the latest error, and of the successes under the criteria of the latest one that with the
    highest reward, since rewards under other criteria cannot be compared with these.

    Args:
        task: The request.
        criteria_names: Names of the criteria that need help; none means any.
        lessons: All lessons.
        entries: All entries.
        embeddings: Embed requests and conditions.
        most: Most lessons.
    """
    names = {name.casefold() for name in criteria_names}
    fitting = [
        lesson
        for lesson in lessons
        if not names or names & {name.casefold() for name in lesson.criteria}
    ]
    kin = (task.genre, task.language)
    texts = [entry for entry in entries if (entry.genre, entry.language) == kin]
    requests = list(dict.fromkeys(entry.request for entry in texts))
    conditions = [lesson.condition for lesson in fitting]
    near = await vectors([task.request, *conditions, *requests], embeddings)
    cosines = (near @ near[0]).tolist()[1:]
    likeness = dict(zip(requests, cosines[len(fitting) :], strict=True))
    alike = [entry for entry in texts if likeness[entry.request] >= SIMILAR_REQUEST]
    return Recalled(
        lessons=_ranked(fitting, cosines[: len(fitting)], task.genre)[:most],
        success=_best_success(alike, likeness),
        error=_latest(alike, "error", likeness),
    )


def _ranked(lessons: Sequence[Lesson], cosines: Sequence[float], genre: str) -> tuple[Lesson, ...]:
    placed = sorted(
        zip(lessons, cosines, strict=True),
        key=lambda pair: (pair[0].genre != genre, -pair[1], -pair[0].support, pair[0].id),
    )
    return tuple(lesson for lesson, _ in placed)


def _latest(
    entries: Iterable[MemoryEntry], kind: str, likeness: Mapping[str, float]
) -> MemoryEntry | None:
    def order(entry: MemoryEntry) -> tuple[float, str, str]:
        return likeness[entry.request], entry.created, entry.id

    return max((each for each in entries if each.kind == kind), key=order, default=None)


def _best_success(
    entries: Sequence[MemoryEntry], likeness: Mapping[str, float]
) -> MemoryEntry | None:
    latest = _latest(entries, "success", likeness)
    if latest is None:
        return None

    def order(entry: MemoryEntry) -> tuple[bool, float, str, str]:
        # a missing reward is not zero: it ranks after all others
        return entry.reward is not None, entry.reward or 0.0, entry.created, entry.id

    group = (latest.kind, latest.criteria_sha, likeness[latest.request])
    rivals = (e for e in entries if (e.kind, e.criteria_sha, likeness[e.request]) == group)
    return max(rivals, key=order)
