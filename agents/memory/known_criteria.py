"""Known criteria: the records that the library keeps of criteria, and when it retires them.

The library keeps a criterion that passed validation, with statistics on its use (`ALGORITHM.md` 6.1
and 6.2, step 12). POW3R (arXiv:2605.20164) shows why criteria need such statistics: 37 to 57 % of a
rubric's criteria give no gradient, because every text satisfies them or none does.
"""

import hashlib
import json
import operator
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import pstdev
from typing import Literal

from pydantic import Field

from quillgraph.agents.domain import Criterion, Value, WritingTask
from quillgraph.agents.judgements import unit

TOP = 9
"""Score from which a text fully satisfies a criterion: the lowest score of the best band."""

RECENT = 64
"""Names of groups that a criterion remembers; several times as many as run at once."""

ENOUGH_GROUPS = 5
"""Groups of texts after which a criterion that told none apart is retired (ours)."""

OLD_DAYS = 180
"""Days without use after which a criterion of a single request is retired (ours)."""

HASH_CHARS = 16
"""Characters that the library keeps of a request's hash."""


class KnownCriterion(Value):
    """A criterion of the library, with statistics on its use."""

    id: str
    """Canonical id: that of the first criterion with this meaning, under any name."""
    name: str
    description: str
    kind: Literal["soft", "pitfall"]
    levels: dict[str, str]
    genre: str
    language: str
    requests: tuple[str, ...] = Field(min_length=1)
    """Keys of the requests that it was written for (`request_key`), the earliest first."""
    aliases: tuple[str, ...] = ()
    """Names that later criteria with this meaning had."""
    groups: int = 0
    """Number of groups of two or more texts that were scored on it."""
    spread: float = 0.0
    """Sum over the groups of the standard deviation of their scores, on the scale from 0 to 1."""
    saturated: int = 0
    """Number of groups in which every text reached `TOP`."""
    recent: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    """Names of the last `RECENT` named groups, so that no group counts twice: a graph's task that
    was killed before its checkpoint reports its group again."""
    born: str
    last_used: str
    """Time when it was last written for a request, or texts were last scored on it; ISO 8601."""
    retired: str | None = None
    """Why it is no longer suggested; None while it is in use."""

    @property
    def uses(self) -> int:
        """Number of requests that it was written for."""
        return len(self.requests)

    @property
    def discrimination(self) -> float | None:
        """Mean spread of the scores within a group, 0 to .5; None without any group."""
        return self.spread / self.groups if self.groups else None

    @property
    def saturation(self) -> float | None:
        """Share of the groups in which every text was at the top; None without any group."""
        return self.saturated / self.groups if self.groups else None


class Suggestion(Value):
    """A criterion of the library that may be relevant to a request."""

    id: str
    name: str
    description: str
    genre: str
    cosine: float
    """Cosine between request and criterion."""


class Consulted(Value):
    """What the library suggests for a request."""

    version: str
    """Version of the library; the same version makes the same suggestions for a request."""
    suggestions: tuple[Suggestion, ...]


class LibraryUpdate(Value):
    """Result of saving criteria to the library."""

    ids: dict[str, str]
    """Canonical id of each criterion, by criterion id."""
    reused: tuple[str, ...]
    """Ids of the criteria that the library knew from another request."""
    discrimination: dict[str, float]
    """Mean spread of each criterion so far, by criterion id; absent without scored texts."""
    retired: tuple[KnownCriterion, ...] = ()
    """Criteria that the library retired, each with its reason."""


def criterion_text(criterion: Criterion | KnownCriterion) -> str:
    """The text of a criterion to embed and compare."""
    return f"{criterion.name}: {criterion.description}"


def prompt_lines(suggestions: Iterable[Suggestion]) -> str:
    """Suggestions as a prompt lists them; empty without suggestions."""
    lines = [f"- {each.name}: {each.description}" for each in suggestions]
    if not lines:
        return ""
    return "\n".join(
        [
            "\nCriteria that served other requests, only to compare with; where this request "
            "asks for something else, say that instead:",
            *lines,
        ]
    )


def request_key(task: WritingTask) -> str:
    """Key of a request in the library: the start of its hash."""
    return task.request_hash[:HASH_CHARS]


def known_from(criterion: Criterion, task: WritingTask, now: str) -> KnownCriterion:
    """Make the library's record of a criterion with a new meaning.

    Its id is a hash of its content, so that two libraries give it the same id.

    Raises:
        ValueError: If the criterion is hard, because a hard criterion applies to its request alone.
    """
    if criterion.kind == "hard":
        raise ValueError(f"expected a criterion that a judge scores, got hard {criterion.id!r}")
    content = [task.language, task.genre, criterion.kind, criterion.name, criterion.description]
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    return KnownCriterion(
        id=f"q-{digest[:12]}",
        name=criterion.name,
        description=criterion.description,
        kind=criterion.kind,
        levels=criterion.levels,
        genre=task.genre,
        language=task.language,
        requests=(request_key(task),),
        born=now,
        last_used=now,
    )


def used_again(
    known: KnownCriterion, criterion: Criterion, task: WritingTask, now: str
) -> KnownCriterion:
    """Record that another request led to a known criterion, which keeps its first wording.

    Nothing changes if the criterion was written for this request before.
    """
    if request_key(task) in known.requests:
        return known
    names = {name.casefold() for name in (known.name, *known.aliases)}
    new_names = () if criterion.name.casefold() in names else (criterion.name,)
    return known.model_copy(
        update={
            "requests": (*known.requests, request_key(task)),
            "aliases": (*known.aliases, *new_names),
            "last_used": now,
        }
    )


def with_scores(
    known: KnownCriterion, scores: Sequence[float], now: str, group: str | None = None
) -> KnownCriterion:
    """Add the scores of a group of texts to a criterion's statistics.

    Nothing changes with fewer than two scores, or if the group has been added before.

    Args:
        known: The criterion.
        scores: Scores from 1 to 10, one per text of the same request, without missing verdicts.
        now: Time of the change, ISO 8601.
        group: Name of the group; None if the caller reports the group only once.
    """
    if len(scores) < 2 or group in known.recent:
        return known
    return known.model_copy(
        update={
            "recent": (*known.recent, group)[-RECENT:] if group else known.recent,
            "groups": known.groups + 1,
            "spread": known.spread + pstdev(map(unit, scores)),
            "saturated": known.saturated + (min(scores) >= TOP),
            "last_used": now,
        }
    )


def fate(known: KnownCriterion, now: str) -> str | None:
    """Say why a criterion must be retired; None if it stays in use.

    After `ENOUGH_GROUPS` groups a criterion is saturated if every text was at the top, and dead if
    no group had any spread. It is old if it served only one request and was last used `OLD_DAYS`
    ago or earlier.
    """
    if known.groups >= ENOUGH_GROUPS and known.saturated == known.groups:
        return f"saturated: every text was at the top in all of {known.groups} groups"
    if known.groups >= ENOUGH_GROUPS and not known.spread:
        return f"dead: it told no texts apart in any of {known.groups} groups"
    if known.uses == 1 and _days(known.last_used, now) >= OLD_DAYS:
        return f"old: unused for {OLD_DAYS} days or more, and by one request only"
    return None


def _days(since: str, now: str) -> int:
    return (datetime.fromisoformat(now) - datetime.fromisoformat(since)).days
