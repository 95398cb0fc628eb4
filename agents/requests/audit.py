"""The brief auditor: literal demands of the request that the rules have missed."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from quillgraph.agents.checks.check import CHECKS
from quillgraph.agents.checks.language import language_for, languages_in
from quillgraph.agents.domain import Dropped, Incident, WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text, whole_number
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.agents.role import Answers, Role, ask_each

MOST_DEMANDS = 8
MOST_COUNTED = 100_000

# read in both languages of ours at once: requests mix them
_OF_PARTS = re.compile(r"\b(?:each|every|per|apiece)\b|[每各]", re.IGNORECASE)

STEM = 4
"""Letters of a term that its quote must hold: "fairies" may be asked for as "fairy"."""


async def audit_request(
    task: WritingTask, incidents: Sequence[Incident], known: Sequence[Constraint], role: Role
) -> Answers[Constraint]:
    """Ask for the demands that code can check and that no rule has found.

    A demand counts only if its quote stands in the incident word for word, and if no rule has
    found one of its kind already: the rules prefer silence to error, so they are right.

    Args:
        task: The request.
        incidents: Its incidents.
        known: What the rules have read already.
        role: The coder who plays the auditor.
    """
    term: Any = text(1, 60)
    demand = form(
        "Demand",
        incident=one_of(incident.id for incident in incidents),
        quote=text(3, 200),
        kind=one_of(_kinds()),
        least=whole_number(0, MOST_COUNTED),
        most=whole_number(0, MOST_COUNTED),
        terms=Annotated[list[term], Field(max_length=12)],
    )
    answers = await ask_each(
        role,
        render(
            "auditing",
            incidents="\n".join(f"{incident.id}: {incident.text}" for incident in incidents),
            found="; ".join(constraint.name for constraint in known) or "none",
        ),
        demand,
        item="audit",
        stage="audit",
        at_least=0,
        at_most=MOST_DEMANDS,
        temperature=0.0,
        max_tokens=800,
    )
    words = {incident.id: incident.text for incident in incidents}
    kinds = {constraint.check.type for constraint in known}
    kept: list[Constraint] = []
    dropped = list(answers.dropped)
    for entry in answers.items:
        constraint = _constraint(entry, words, task)
        if isinstance(constraint, Constraint) and constraint.check.type not in kinds:
            kinds.add(constraint.check.type)
            kept.append(constraint)
        else:
            reason = constraint if isinstance(constraint, str) else "a demand of this kind is known"
            dropped.append(
                Dropped(stage="audit", agent=role.name, reason=reason, text=str(entry)[:200])
            )
    return Answers(tuple(kept), tuple(dropped))


def _kinds() -> list[str]:
    """Kinds of checks that the auditor can make, those of terms behind those of bounds."""
    kinds = {kind: CHECKS.load(kind).audited_by for kind in CHECKS}
    return [kind for by in ("bounds", "terms") for kind in kinds if kinds[kind] == by]


def _constraint(entry: Any, words: dict[str, str], task: WritingTask) -> Constraint | str:
    """Make a constraint of an answer, or say why it cannot be one."""
    if entry.quote not in words[entry.incident]:
        return "the quote is not in the incident"
    kind = CHECKS.load(entry.kind)
    if kind.audited_by == "bounds" and _OF_PARTS.search(entry.quote):
        return "the quote speaks of parts, and the count would be one of the whole text"
    terms = tuple(entry.terms) if kind.audited_by == "terms" else ()
    bounds = (entry.least or None, entry.most or None) if kind.audited_by == "bounds" else ()
    if not _is_in_quote(entry.quote.casefold(), terms, bounds, task):
        return "the quote does not say the words or the number"
    fields = dict(zip(("min", "max"), bounds, strict=True)) if bounds else {"terms": terms}
    try:
        check = kind.model_validate(fields)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    wording = language_for(task.language).wording
    return Constraint(
        name=check.name_in(wording),
        description=check.description_in(wording),
        check=check,
        incident_id=entry.incident,
        quote=entry.quote,
    )


def _is_in_quote(
    quote: str, terms: Sequence[str], bounds: Sequence[int | None], task: WritingTask
) -> bool:
    """Whether a quote holds the beginning of every term, and every number in some form."""
    numbers: set[int | None] = set()
    for language in languages_in(task.request, task.language):
        numbers |= language.numerals.numbers_in(quote)
    return all(term.casefold()[:STEM] in quote for term in terms) and all(
        bound in numbers for bound in bounds if bound
    )
