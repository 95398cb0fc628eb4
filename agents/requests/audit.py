"""The brief auditor: literal demands of the request that the rules have missed."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.wording import description_of, name_of
from quillgraph.agents.domain import Dropped, Incident, WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text
from quillgraph.agents.requests.constraints import Constraint
from quillgraph.agents.role import Answers, Role, ask_each
from quillgraph.agents.text.numerals import NUMBER_EN, NUMBER_ZH, read_number

COUNTS = (
    "word_count",
    "char_count",
    "sentence_count",
    "line_count",
    "paragraph_count",
    "stanza_count",
    "section_count",
)
WORDS = ("must_include", "must_not_include")
MOST_DEMANDS = 8
MOST_COUNTED = 100_000

STEM = 4
"""Letters of a term that its quote must hold: "fairies" may be asked for as "fairy"."""

_CHECK: TypeAdapter[Check] = TypeAdapter(Check)


async def audit_request(
    task: WritingTask, incidents: Sequence[Incident], found: Sequence[Constraint], role: Role
) -> Answers[Constraint]:
    """Ask for the demands that code can check and that no rule has found.

    A demand counts only if its quote stands in the incident word for word, and if no rule has
    found one of its kind already: the rules prefer silence to error, so they are right.

    Args:
        task: The request.
        incidents: Its incidents.
        found: What the rules have found.
        role: The coder who plays the auditor.
    """
    term: Any = text(1, 60)
    demand = form(
        "Demand",
        incident=one_of(incident.id for incident in incidents),
        quote=text(3, 200),
        kind=one_of([*COUNTS, *WORDS]),
        least=Annotated[int, Field(ge=0, le=MOST_COUNTED)],
        most=Annotated[int, Field(ge=0, le=MOST_COUNTED)],
        terms=Annotated[list[term], Field(max_length=12)],
    )
    answers = await ask_each(
        role,
        render(
            "auditing",
            incidents="\n".join(f"{incident.id}: {incident.text}" for incident in incidents),
            found="; ".join(constraint.name for constraint in found) or "none",
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
    known = {constraint.check.type for constraint in found}
    kept: list[Constraint] = []
    dropped = list(answers.dropped)
    for entry in answers.items:
        made = _constraint(entry, words, task)
        if isinstance(made, Constraint) and made.check.type not in known:
            known.add(made.check.type)
            kept.append(made)
        else:
            reason = made if isinstance(made, str) else "a demand of this kind is known"
            dropped.append(
                Dropped(stage="audit", agent=role.name, reason=reason, text=str(entry)[:200])
            )
    return Answers(tuple(kept), tuple(dropped))


def _constraint(entry: Any, words: dict[str, str], task: WritingTask) -> Constraint | str:
    """Make a constraint of an answer, or say why it cannot be one."""
    if entry.quote not in words[entry.incident]:
        return "the quote is not in the incident"
    if not _is_said(entry):
        return "the quote does not say the words or the number"
    bounds = {"min": entry.least or None, "max": entry.most or None}
    fields = bounds if entry.kind in COUNTS else {"terms": tuple(entry.terms)}
    try:
        check = _CHECK.validate_python({"type": entry.kind, **fields})
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    is_chinese = task.language == "zh"
    name = name_of(check, chinese=is_chinese)
    return Constraint(
        name=name,
        description=description_of(check, chinese=is_chinese),
        check=check,
        incident_id=entry.incident,
        quote=entry.quote,
    )


def _is_said(entry: Any) -> bool:
    """Whether the quote holds the beginning of every term, or every number, in some form."""
    quote = entry.quote.casefold()
    if entry.kind in WORDS:
        return all(term.casefold()[:STEM] in quote for term in entry.terms)
    said = {
        read_number(found) for form in (NUMBER_EN, NUMBER_ZH) for found in re.findall(form, quote)
    }
    return all(bound in said for bound in (entry.least, entry.most) if bound)
