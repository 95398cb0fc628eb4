"""Find the literal demands of a request, for the hard criteria (`ALGORITHM.md` 6.2, step 9)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from quillgraph.agents.checks.check import Check, Format, MustInclude, MustNotInclude
from quillgraph.agents.checks.count import CharCount, CountRange
from quillgraph.agents.checks.demand import Demand, Rule
from quillgraph.agents.checks.en import lengths as lengths_en
from quillgraph.agents.checks.en import manner as manner_en
from quillgraph.agents.checks.en import words as words_en
from quillgraph.agents.checks.wording import description_of, name_of
from quillgraph.agents.checks.zh import lengths as lengths_zh
from quillgraph.agents.checks.zh import manner as manner_zh
from quillgraph.agents.checks.zh import words as words_zh
from quillgraph.agents.domain import Incident
from quillgraph.agents.text.language import is_cjk, letter_count
from quillgraph.agents.text.phrases import telling

logger = logging.getLogger(__name__)

_ENGLISH: tuple[Rule, ...] = (
    lengths_en.lengths,
    words_en.included_words,
    words_en.excluded_words,
    words_en.edges,
    manner_en.dialogue,
    manner_en.person,
    manner_en.language,
    manner_en.forms,
    manner_en.poems,
)
_CHINESE: tuple[Rule, ...] = (
    lengths_zh.lengths,
    words_zh.words,
    words_zh.listed_words,
    words_zh.edges,
    manner_zh.dialogue,
    manner_zh.person,
    manner_zh.language,
    manner_zh.forms,
)


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


def find_constraints(incidents: Sequence[Incident]) -> tuple[Constraint, ...]:
    """Read the demands that code can check off a request's incidents.

    The rules are for English and Chinese and prefer silence to error: a number that is told
    rather than asked for, a count for a part of the text, and what stands in
    quotation marks give nothing. Demands of one kind are merged: ranges are intersected, and words
    joined. Two demands that contradict each other show that one was misread, so both are
    left out.
    """
    groups: dict[str, list[_Reading]] = {}
    for incident in incidents:
        for rules in (_ENGLISH, _CHINESE):
            for demand in (demand for rule in rules for demand in rule(incident.text)):
                reading = _Reading(incident, demand, chinese=rules is _CHINESE)
                groups.setdefault(_kind(demand.check), []).append(reading)
    merged = map(_merged, groups.values())
    return tuple(constraint for constraint in merged if constraint is not None)


@dataclass(frozen=True, slots=True)
class _Reading:
    incident: Incident
    demand: Demand
    chinese: bool


def _kind(check: Check) -> str:
    """Name what two demands must share to be merged."""
    match check:
        # a text may have to have a table and headings, but not two languages
        case Format(form=form):
            return f"format {form}"
        case CharCount(unit=unit):
            return f"char_count {unit}"
        case MustInclude(any_of=any_of) if any_of:
            return f"must_include one of {any_of}"
        case MustNotInclude(anywhere=True):
            return "must_not_include anywhere"
    return check.type


def _merged(readings: list[_Reading]) -> Constraint | None:
    """Join demands of one kind into the first; None where they contradict each other."""
    check = _joined([reading.demand.check for reading in readings])
    if check is None:
        quotes = [reading.demand.name for reading in readings]
        logger.debug("left out demands that contradict each other: %s", quotes)
        return None
    alike = next((reading for reading in readings if reading.demand.check == check), None)
    reading = alike or readings[0]
    demand, incident = reading.demand, reading.incident
    return Constraint(
        name=demand.name if alike else name_of(check, chinese=reading.chinese),
        description=description_of(check, chinese=reading.chinese),
        check=check,
        incident_id=incident.id,
        quote=incident.text[demand.start : demand.end].strip(),
    )


def _joined(checks: Sequence[Check]) -> Check | None:
    first = checks[0]
    if isinstance(first, CountRange):
        ranges = [check for check in checks if isinstance(check, CountRange)]
        low = max((each.min for each in ranges if each.min is not None), default=None)
        high = min((each.max for each in ranges if each.max is not None), default=None)
        if low is not None and high is not None and low > high:
            return None
        return first.model_copy(update={"min": low, "max": high})
    if isinstance(first, MustInclude | MustNotInclude):
        terms = (c.terms for c in checks if isinstance(c, MustInclude | MustNotInclude))
        return first.model_copy(
            update={"terms": tuple(dict.fromkeys(t for row in terms for t in row))}
        )
    return first if all(check == first for check in checks) else None


def is_said_in_full(incident: Incident, constraints: Sequence[Constraint]) -> bool:
    """Whether an incident is little more than a constraint that code can check."""
    quotes = [c.quote for c in constraints if c.incident_id == incident.id]
    left = incident.text
    for quote in quotes:
        left = left.replace(quote, "\n")
    has_more = telling(left, is_zh=is_cjk(incident.text))
    # numbering and marks say nothing
    share = sum(map(letter_count, quotes)) / max(1, letter_count(incident.text))
    return bool(quotes) and not has_more and share >= CONSTRAINT_SHARE


CONSTRAINT_SHARE = 0.5
"""Share of an incident's letters at which its constraints say all of it."""
