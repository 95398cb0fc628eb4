"""Criteria that outlive their request: what the library knows of them, and when it retires them.

A criterion that passed validation is kept with what its use has shown (`ALGORITHM.md` 6.1 and
6.2, step 12). That criteria need such statistics is POW3R's finding (arXiv:2605.20164): 37 to
57 % of a rubric's criteria give no gradient, because every text satisfies them or none does.
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
"""Score from which a text leaves a criterion nothing to ask for: the foot of the best band."""

RECENT = 64
"""Groups of which a criterion remembers the names: several times those that are in flight."""

ENOUGH_GROUPS = 5
"""Groups of texts after which a criterion that told none apart is dead (ours)."""

OLD_DAYS = 180
"""Days after which a criterion that served one request only is old (ours)."""

HASH_CHARS = 16
"""Of a request's hash, as the library keeps it."""


class KnownCriterion(Value):
    """A criterion of the library, with what its use has shown."""

    id: str
    """Canonical: that of the first criterion with this meaning, whatever names later ones have."""
    name: str
    description: str
    kind: Literal["soft", "pitfall"]
    levels: dict[str, str]
    genre: str
    language: str
    requests: tuple[str, ...] = Field(min_length=1)
    """Beginnings of the hashes of the requests that it was written for, the first one first."""
    aliases: tuple[str, ...] = ()
    """Other names under which it was written again."""
    groups: int = 0
    """Groups of two or more texts that were scored on it."""
    spread: float = 0.0
    """Sum over the groups of the standard deviation of their scores, on the scale from 0 to 1."""
    saturated: int = 0
    """Groups in which every text reached `TOP`."""
    recent: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    """Names of the last `RECENT` groups that had one: a task of a graph that was killed before its
    checkpoint tells of its group again."""
    born: str
    last_used: str
    """When a request last led to it, or texts were last scored on it; ISO 8601."""
    retired: str | None = None
    """Why it is suggested no more; None while it is."""

    @property
    def uses(self) -> int:
        """How many requests it was written for."""
        return len(self.requests)

    @property
    def discrimination(self) -> float | None:
        """Mean spread of the scores within a group, 0 to .5; None before any group was scored."""
        return self.spread / self.groups if self.groups else None

    @property
    def saturation(self) -> float | None:
        """Share of the groups in which every text was at the top; None before any."""
        return self.saturated / self.groups if self.groups else None


class Suggestion(Value):
    """A criterion of the library that may bear on a request."""

    id: str
    name: str
    description: str
    genre: str
    cosine: float
    """Between the request and the criterion."""


class Consulted(Value):
    """What the library suggests for a request."""

    version: str
    """Version of the library: equal versions suggest the same for the same request."""
    suggestions: tuple[Suggestion, ...]


class LibraryUpdate(Value):
    """What became of the criteria that the library received."""

    ids: dict[str, str]
    """Criterion id to canonical id."""
    reused: tuple[str, ...]
    """Ids of the criteria that another request had led to as well."""
    discrimination: dict[str, float]
    """Criterion id to its mean spread so far; nothing for those that no texts were scored on."""
    retired: tuple[KnownCriterion, ...] = ()
    """Criteria of the library that were retired, each with its reason."""


def criterion_text(criterion: Criterion | KnownCriterion) -> str:
    """A criterion in the words that are embedded and compared."""
    return f"{criterion.name}: {criterion.description}"


def prompt_lines(suggestions: Iterable[Suggestion]) -> str:
    """Suggestions in a prompt: nothing at all where there are none."""
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
    """The name under which the library knows a request."""
    return task.request_hash[:HASH_CHARS]


def known_from(criterion: Criterion, task: WritingTask, now: str) -> KnownCriterion:
    """Start the library's record of a criterion with a new meaning.

    Its id is a hash of what it says, so that two libraries name it alike.

    Raises:
        ValueError: If it is a hard criterion, which belongs to its request alone.
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
    """Note that a request led to a criterion that is known; the first wording stands.

    For a request that it has served before nothing changes.
    """
    if request_key(task) in known.requests:
        return known
    names = {name.casefold() for name in (known.name, *known.aliases)}
    fresh = () if criterion.name.casefold() in names else (criterion.name,)
    return known.model_copy(
        update={
            "requests": (*known.requests, request_key(task)),
            "aliases": (*known.aliases, *fresh),
            "last_used": now,
        }
    )


def with_scores(
    known: KnownCriterion, scores: Sequence[float], now: str, group: str | None = None
) -> KnownCriterion:
    """Add the scores of a group of texts; fewer than two tell nothing and change nothing.

    Nor does a group that has been added before.

    Args:
        known: The criterion.
        scores: From 1 to 10, one for each text of one request; missing verdicts are left out.
        now: ISO 8601.
        group: Name of the group; None if it has none, and is reported only once.
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
    """Why a criterion is retired; None while it is in use.

    It is saturated if every text of at least `ENOUGH_GROUPS` groups was at the top, dead if so
    many groups had no spread at all, old if it served one request only, `OLD_DAYS` ago.
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
