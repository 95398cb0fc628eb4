"""Find the literal demands of a request, for the hard criteria (`ALGORITHM.md` 6.2, step 9)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

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

    The rules prefer silence to error: a number that is told rather than asked for, a count for a
    part of the text, and what stands in quotation marks give nothing. Demands on one subject are
    merged: ranges are intersected, and words joined. Two demands that contradict each other show
    that one was misread, so both are left out.

    Args:
        incidents: Of one request.
        language: Of the request; None to detect it where an installed package makes that matter.
    """
    readers = languages_in("\n".join(incident.text for incident in incidents), language)
    groups: dict[str, list[_Reading]] = {}
    for incident in incidents:
        for reader in readers:
            for demand in (demand for rule in reader.rules for demand in rule(incident.text)):
                reading = _Reading(incident, demand, reader)
                groups.setdefault(demand.check.subject, []).append(reading)
    merged = map(_merged, groups.values())
    return tuple(constraint for constraint in merged if constraint is not None)


@dataclass(frozen=True, slots=True)
class _Reading:
    incident: Incident
    demand: Demand
    language: Language


def _merged(readings: list[_Reading]) -> Constraint | None:
    """Join demands on one subject into the first; None where they contradict each other."""
    check = _joined([reading.demand.check for reading in readings])
    if check is None:
        names = [reading.demand.name for reading in readings]
        logger.debug("left out demands that contradict each other: %s", names)
        return None
    alike = next((reading for reading in readings if reading.demand.check == check), None)
    reading = alike or readings[0]
    demand, incident, wording = reading.demand, reading.incident, reading.language.wording
    return Constraint(
        name=demand.name if alike else check.name_in(wording),
        description=check.description_in(wording),
        check=check,
        incident_id=incident.id,
        quote=incident.text[demand.start : demand.end].strip(),
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
