"""The reflector: what holds a text back, and what to do about it (`ALGORITHM.md` 6.4, step 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from quillgraph.agents.domain import LEVELS, CriteriaSet, Criterion, Value, WritingTask
from quillgraph.agents.judgements import GATE, Judgement, Verdict, band_of, judged, unit
from quillgraph.agents.judges.prompted import NOTHING, Exhibit, posed
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text
from quillgraph.agents.role import Answers, Role, ask_each, side_by_side

WEAKEST = 2
"""Criteria that one reflection looks at."""

MOST_EDITS = 3

KEPT_FROM = 8.0
"""Score from which a quality is named as one to keep."""


class Reflection(Value):
    """Why a text does not meet a criterion better, and how to fix it."""

    criterion_id: str
    criterion: str
    """Its name."""
    quote: str | None
    """The sentence to begin with; None where no single sentence is at fault."""
    cause: str
    fix: str


class Plan(Value):
    """At most three edits, and what must survive them."""

    edits: tuple[Reflection, ...]
    keep: tuple[str, ...]
    """Names of the criteria that the text meets well and no edit is about."""


def weakest(criteria_set: CriteriaSet, judgement: Judgement) -> tuple[Criterion, ...]:
    """The criteria that cost the text most: the largest weight times the score missing to 10."""
    scores = judgement.scores
    scored = [c for c in judged(criteria_set.criteria) if c.id in scores]
    return tuple(sorted(scored, key=lambda c: -c.weight * (1 - unit(scores[c.id])))[:WEAKEST])


async def reflect(
    task: WritingTask,
    draft: str,
    criteria: Sequence[Criterion],
    judgement: Judgement,
    role: Role,
    *,
    lessons: Sequence[str],
    number: int,
    rival: str | None = None,
) -> Answers[Reflection]:
    """Ask what holds the text back on some criteria.

    Args:
        task: What is asked for.
        draft: The text.
        criteria: Criteria to reflect on, such as those of `weakest`.
        judgement: Its verdicts tell the reflector what the judge saw.
        role: The reflector. One that only chooses points at a sentence; cause and fix are then
            the levels that the text is on and that it should reach.
        lessons: Advice from earlier episodes, and what has been tried in this one.
        number: Tells apart reflections on the same text.
        rival: Another text for the task. The role then speaks for it, and says what the text
            loses against it.
    """
    exhibit, size = Exhibit.of(draft), role.items_per_call
    verdicts = {verdict.criterion_id: verdict for verdict in judgement.verdicts}
    chunks = [criteria[start : start + size] for start in range(0, len(criteria), size)]
    answers = await side_by_side(
        _reflect(task, exhibit, chunk, verdicts, role, lessons, number, rival) for chunk in chunks
    )
    return Answers(
        tuple(item for answer in answers for item in answer.items),
        tuple(entry for answer in answers for entry in answer.dropped),
    )


async def _reflect(
    task: WritingTask,
    exhibit: Exhibit,
    criteria: Sequence[Criterion],
    verdicts: dict[str, Verdict],
    role: Role,
    lessons: Sequence[str],
    number: int,
    rival: str | None,
) -> Answers[Reflection]:
    ids = {f"q{number}": criterion for number, criterion in enumerate(criteria, 1)}
    citable = exhibit.citable(criteria, role)
    fields = {"criterion": one_of(ids), "sentence": one_of([*citable, NOTHING])}
    if not role.chooses:
        fields |= {"cause": text(8, 240), "fix": text(8, 240)}
    answers = await ask_each(
        role,
        reflecting_prompt(role.brief(task), exhibit, ids, verdicts, lessons, rival),
        form("Fix", **fields),
        item=f"{number}/{'+'.join(criterion.name for criterion in criteria)}",
        stage="reflection",
        at_least=len(ids),
        at_most=len(ids),
        temperature=0.4,
        max_tokens=(40 if role.chooses else 220) * len(ids),
    )
    last = {entry["criterion"]: entry for entry in map(dict, answers.items)}
    reflections = (_reflection(ids[key], entry, exhibit, verdicts) for key, entry in last.items())
    return Answers(tuple(reflections), answers.dropped)


def reflecting_prompt(
    request: str,
    exhibit: Exhibit,
    criteria: Mapping[str, Criterion],
    verdicts: Mapping[str, Verdict],
    lessons: Sequence[str] = (),
    rival: str | None = None,
) -> list[BaseMessage]:
    """The prompt of a reflection on criteria, under the keys that the reply uses for them.

    With a rival's text it is an objection, which may say what the rival does better.
    """
    return render(
        "reflecting" if rival is None else "objecting",
        request=request,
        mark=exhibit.mark,
        text=exhibit.lines,
        lessons=bulleted(lessons) or "none",
        criteria="\n\n".join(_posed(key, c, verdicts[c.id]) for key, c in criteria.items()),
        **({} if rival is None else {"rival": rival, "rival_mark": Exhibit.of(rival).mark}),
    )


def plan_edits(
    criteria_set: CriteriaSet, judgement: Judgement, reflections: Sequence[Reflection]
) -> Plan:
    """Plan the edits: the violations that code found come first, then the reflections."""
    by_id = {criterion.id: criterion for criterion in criteria_set.criteria}
    repairs = [
        Reflection(
            criterion_id=broken.criterion_id,
            criterion=by_id[broken.criterion_id].name,
            quote=None,
            cause=broken.reason,
            fix=by_id[broken.criterion_id].description,
        )
        for broken in judgement.violations
    ]
    if judgement.gate:
        repairs.insert(0, _from_scratch(judgement.gate))
    edits = tuple([*repairs, *reflections][:MOST_EDITS])
    edited = {edit.criterion_id for edit in edits}
    good = [verdict.criterion_id for verdict in judgement.verdicts if verdict.score >= KEPT_FROM]
    return Plan(
        edits=edits,
        keep=tuple(by_id[criterion_id].name for criterion_id in good if criterion_id not in edited),
    )


def _from_scratch(reason: str) -> Reflection:
    return Reflection(
        criterion_id=GATE,
        criterion="A text that can be judged",
        quote=None,
        cause=f"The text was turned away: {reason}.",
        fix="Write the piece that the request asks for, whole and in words of its own.",
    )


def bulleted(lines: Sequence[str]) -> str:
    """Lines as a prompt lists them; empty where there are none."""
    return "\n".join(f"- {line}" for line in lines)


def _posed(key: str, criterion: Criterion, verdict: Verdict) -> str:
    verdict_line = f"The judge gave {verdict.score:g}: {verdict.reason}"
    return f"{key}: {posed(criterion)}\n{verdict_line}"


def _reflection(
    criterion: Criterion,
    entry: dict[str, Any],
    exhibit: Exhibit,
    verdicts: dict[str, Verdict],
) -> Reflection:
    band = LEVELS.index(band_of(verdicts[criterion.id].score))
    return Reflection(
        criterion_id=criterion.id,
        criterion=criterion.name,
        quote=exhibit.sentences.get(entry["sentence"]),
        cause=entry.get("cause") or criterion.levels[LEVELS[band]],
        fix=entry.get("fix") or criterion.levels[LEVELS[min(band + 2, len(LEVELS) - 1)]],
    )
