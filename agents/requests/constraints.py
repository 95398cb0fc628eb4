"""Find the literal demands of a request, for the hard criteria (`ALGORITHM.md` 6.2, step 9)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.demand import Demand
from quillgraph.agents.checks.language import (
    DEFAULT,
    Language,
    language_in_script,
    languages_in,
)
from quillgraph.agents.domain import Incident
from quillgraph.agents.text.language import is_cjk, letter_count
from quillgraph.agents.text.phrases import content_phrases

logger = logging.getLogger(__name__)


class Constraint(BaseModel):
    """A literal demand of the request, with the check that decides it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """A few words, in the language of the demand."""
    description: str
    check: Check
    incident_id: str
    quote: str
    """The words of the incident that ask for it, verbatim."""


def find_constraints(
    incidents: Sequence[Incident], language: str | None = None
) -> tuple[Constraint, ...]:
    """Read the demands that code can check off a request's incidents.

    The rules prefer silence to error: a number that is told rather than asked for, a count for
    something that code cannot find in a text, and what stands in quotation marks give nothing.
    Demands on one subject are merged: ranges are intersected, and words joined. Where two demands
    contradict each other, one was misread: limits stay if they agree, the others are left out,
    and a warning says which.

    Args:
        incidents: Of one request.
        language: Of the request; None to detect it where an installed package makes that matter.
    """
    request, starts = _request(incidents)
    readers = languages_in(request, language)
    groups: dict[str, list[_Reading]] = {}
    readings = _readings(request, dict(zip(starts, incidents, strict=True)), readers)
    for reading in sorted(readings, key=lambda each: each.at):
        groups.setdefault(reading.demand.check.subject, []).append(reading)
    merged = map(_merged, groups.values())
    return tuple(constraint for constraint in merged if constraint is not None)


def _request(incidents: Sequence[Incident]) -> tuple[str, list[int]]:
    """Put the request together of its incidents, with where each of them begins in it.

    A blank between two clauses is one; any other gap ends a line.
    """
    text, starts = "", []
    for earlier, incident in zip([None, *incidents], incidents, strict=False):
        if earlier and incident.span[0] != earlier.span[1]:
            is_clause = earlier.text[-1:] in ",，" or incident.text[:1].islower()
            text += " " if is_clause else "\n"
        starts.append(len(text))
        text += incident.text
    return text, starts


def _readings(
    request: str, incidents: Mapping[int, Incident], readers: Sequence[Language]
) -> Iterator["_Reading"]:
    """Apply the rules: those of incidents to each, and those of requests to the whole."""
    for start, incident in incidents.items():
        for reader in readers:
            for rule in reader.rules:
                for demand in rule(incident.text):
                    yield _Reading(incident, demand, reader, start + demand.start)
    for reader in readers:
        for rule in reader.request_rules:
            for demand in rule(request):
                # what it says may begin in the clause before
                start = max(each for each in incidents if each < demand.end)
                incident, begin = incidents[start], max(demand.start, start)
                placed = replace(demand, start=begin - start, end=demand.end - start)
                yield _Reading(incident, placed, reader, demand.start)


@dataclass(frozen=True, slots=True)
class _Reading:
    incident: Incident
    demand: Demand
    language: Language
    at: int
    """Where in the request it begins."""

    @property
    def words(self) -> str:
        """The words that ask for it, as far as the incident holds them."""
        return self.incident.text[self.demand.start : self.demand.end].strip()


def _merged(readings: list[_Reading]) -> Constraint | None:
    """Join demands on one subject into the first, the sure ones where they contradict each other.

    A limit is surer than a bare number. Where the limits contradict each other too, None.
    """
    check = _joined([reading.demand.check for reading in readings])
    if check is None:
        limits = [reading for reading in readings if not reading.demand.is_bare]
        check = _joined([each.demand.check for each in limits]) if limits else None
        kept = limits if check else []
        dropped = [f"“{each.words}”" for each in readings if each not in kept]
        logger.warning(
            "these demands of the request contradict each other: %s; no hard criterion is made of "
            "%s, so a judge has to weigh that",
            ", ".join(f"“{each.words}” ({each.demand.name})" for each in readings),
            ", ".join(dropped),
        )
        readings = kept
    if check is None:
        return None
    alike = next((reading for reading in readings if reading.demand.check == check), None)
    reading = alike or readings[0]
    demand, incident, wording = reading.demand, reading.incident, reading.language.wording
    return Constraint(
        name=demand.name if alike else check.name_in(wording),
        description=check.description_in(wording),
        check=check,
        incident_id=incident.id,
        quote=reading.words,
    )


def _joined(checks: Sequence[Check]) -> Check | None:
    joined: Check | None = checks[0]
    for check in checks:  # the first one too: merged with itself it loses terms named twice
        joined = joined.merge(check) if joined is not None else None
    return joined


def is_said_in_full(
    incident: Incident, constraints: Sequence[Constraint], language: str = DEFAULT
) -> bool:
    """Whether an incident is little more than a constraint that code can check.

    Args:
        incident: A piece of the request.
        constraints: Those of the request.
        language: Of the request; a passage in Chinese characters is read as Chinese.
    """
    quotes = [c.quote for c in constraints if c.incident_id == incident.id]
    left = incident.text
    for quote in quotes:
        left = left.replace(quote, "\n")
    reader = language_in_script(language, by_characters=is_cjk(incident.text))
    has_more = content_phrases(left, reader.phrasing)
    # numbering and marks say nothing
    share = sum(map(letter_count, quotes)) / max(1, letter_count(incident.text))
    return bool(quotes) and not has_more and share >= CONSTRAINT_SHARE


CONSTRAINT_SHARE = 0.5
"""Share of an incident's letters at which its constraints say all of it."""
