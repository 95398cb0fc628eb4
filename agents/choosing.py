"""How a small model plays the roles: it chooses where a larger one writes.

SmolLM2-135M, asked to name a quality, tells a story (measured, LOG.md 2026-11-23). So each call
offers it readings that all make sense, as enums of a JSON schema: the sensitizing concepts near
a passage, phrases of the passage itself, ids of codes. What it chooses decides the study; the
wording around the choice is that of `lenses.yaml`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field, create_model

from quillgraph.agents.asking import Role, ask
from quillgraph.agents.comparing import vectors
from quillgraph.agents.domain import (
    LEVELS,
    PARADIGM,
    Category,
    Code,
    Coding,
    Draft,
    Incident,
    Property,
    Relation,
    Tier,
    WritingTask,
)
from quillgraph.agents.lenses import (
    IDENTITIES,
    PHRASES_PER_LENS,
    Lens,
    lenses,
    near,
    readings,
)
from quillgraph.agents.phrases import phrases
from quillgraph.agents.prompting import render

PARTS = ("opening", "middle", "close")
"""Thirds of a draft; a note is taken in each."""

LENSES_PER_READER = 2
"""Lenses of each identity that an observer is offered."""

MOST_EVIDENCE = 3

MOST_DEMANDS = 12
"""Phrases of the request that notes on drafts are turned on."""


async def choose_coding(
    task: WritingTask, incident: Incident, identity: str, role: Role, embeddings: Embeddings
) -> Coding:
    """Choose how to read one incident.

    A note on a draft is turned on the request's own phrases: the study is of the request, and a
    draft's inventions are no demand of it.

    Raises:
        ReplyError: If the model chooses nothing that was offered.
    """
    seen = incident.note or incident.text
    found = await near(seen, identity, task.language, embeddings)
    if incident.source == "request":
        offered = readings(incident.text, found, phrases(incident.text, task.language))
    else:
        offered = readings(seen, found, await _demands_near(task, incident.text, embeddings))
    by_name = {reading.dimension.name: reading for reading in offered}
    choice: Any = await ask(
        role,
        render(
            "choosing_code",
            request=task.brief,
            identity=IDENTITIES[identity],
            passage=incident.text,
            readings="\n".join(by_name),
        ),
        _form("CodingChoice", reading=Literal[tuple(by_name)]),
        item=f"{identity}/{incident.id}",
        temperature=0.5,
        max_tokens=200,
    )
    reading = by_name[choice.reading]
    return Coding(
        label=reading.dimension.name,
        gloss=reading.dimension.high_pole,
        evidence=(incident.id,),
        coder=identity,
        confidence=4 if reading.cued else 2,
        lens=reading.lens.id,
        words=reading.words,
    )


async def choose_notes(
    task: WritingTask,
    draft: Draft,
    spans: Sequence[tuple[int, int]],
    role: Role,
    embeddings: Embeddings,
) -> tuple[Incident, ...]:
    """Choose a telling sentence in each third of a draft, and how it works.

    Args:
        task: The request.
        draft: What is read.
        spans: Where its sentences stand, in characters.
        role: The observer.
        embeddings: Find the lenses that the draft calls for.

    Raises:
        ReplyError: If the model chooses nothing that was offered.
    """
    shown = {f"s{number}": span for number, span in enumerate(spans, 1)}
    offered = await _lenses_of_all(task, draft.text, embeddings)
    parts = dict(zip(PARTS, _thirds(list(shown)), strict=False))
    form = _form(
        "NotesChoice",
        **{part: _note_form(ids, offered) for part, ids in parts.items() if ids},
    )
    choice: Any = await ask(
        role,
        render(
            "choosing_notes",
            request=task.brief,
            sentences="\n".join(f"{key}: {draft.text[a:b]}" for key, (a, b) in shown.items()),
            lenses=", ".join(lens.name for lens in offered),
        ),
        form,
        item=draft.id,
        temperature=0.5,
        max_tokens=300,
    )
    by_name = {lens.name: lens for lens in offered}
    return tuple(
        _incident(task, draft, number, shown[note.sentence], by_name[note.lens], well=note.works)
        for number, (_, note) in enumerate(choice, 1)
    )


async def choose_category(
    task: WritingTask, category_id: str, codes: Sequence[Code], role: Role
) -> Category:
    """Choose which code leads a group; its lens names the category.

    Raises:
        ReplyError: If the model chooses nothing that was offered.
    """
    ids = tuple(code.id for code in codes)
    surest = max(code.confidence for code in codes)
    leaders = tuple(code.id for code in codes if code.confidence == surest)
    slots = _form("Slots", **dict.fromkeys(ids, Literal[(*PARADIGM, "none")]))
    choice: Any = await ask(
        role,
        render(
            "choosing_category",
            request=task.brief,
            codes="\n".join(f"{code.id}: {code.label}" for code in codes),
        ),
        _form("CategoryChoice", leader=Literal[leaders], slots=slots),
        item="+".join(ids),
        temperature=0.3,
        max_tokens=60 + 16 * len(ids),
    )
    ordered = sorted(codes, key=lambda code: (code.id != choice.leader, -code.confidence))
    filled = choice.slots.model_dump()
    paradigm = {slot: tuple(i for i in ids if filled[i] == slot) for slot in PARADIGM}
    dimensions = [dimension_of(code, task.language) for code in ordered]
    return Category(
        id=category_id,
        name=ordered[0].label,
        definition=ordered[0].gloss,
        code_ids=ids,
        properties=tuple({dimension.name: dimension for dimension in dimensions}.values()),
        paradigm={slot: members for slot, members in paradigm.items() if members},
    )


async def choose_core(
    task: WritingTask, categories: Sequence[Category], relations: Sequence[Relation], role: Role
) -> tuple[str, dict[str, Tier], str]:
    """Choose the core and the tiers.

    Returns:
        Id of the core, tiers by category id, and the storyline that the choice amounts to.

    Raises:
        ReplyError: If the model chooses nothing that was offered.
    """
    ids = tuple(category.id for category in categories)
    tier = Literal["essential", "important", "optional"]
    choice: Any = await ask(
        role,
        render(
            "choosing_core",
            request=task.brief,
            categories="\n".join(f"{c.id}: {c.name}" for c in categories),
            relations="\n".join(f"{r.src} {r.type} {r.dst}" for r in relations) or "none",
        ),
        _form("CoreChoice", core=Literal[ids], tiers=_form("Tiers", **dict.fromkeys(ids, tier))),
        item="+".join(ids),
        temperature=0.3,
        max_tokens=60 + 16 * len(ids),
    )
    tiers = choice.tiers.model_dump()
    second = next((c for c in categories if c.id != choice.core and tiers[c.id] != "optional"), None)
    core = next(category for category in categories if category.id == choice.core)
    return choice.core, tiers, _storyline(core, second, task.language)


async def choose_evidence(
    task: WritingTask, criterion: str, incidents: Sequence[Incident], item: str, role: Role
) -> tuple[str, ...]:
    """Choose the incidents that a criterion cites.

    Raises:
        ReplyError: If the model chooses nothing that was offered.
    """
    ids = Literal[tuple(incident.id for incident in incidents)]
    most = min(MOST_EVIDENCE, len(incidents))
    choice: Any = await ask(
        role,
        render(
            "choosing_evidence",
            request=task.brief,
            criterion=criterion,
            passages="\n".join(f"{i.id}: {i.text[:120]}" for i in incidents),
        ),
        _form(
            "EvidenceChoice",
            evidence=Annotated[list[ids], Field(min_length=1, max_length=most)],  # type: ignore[valid-type]  # ids of this call
        ),
        item=item,
        temperature=0.3,
        max_tokens=20 + 12 * most,
    )
    return tuple(dict.fromkeys(choice.evidence))


def dimension_of(code: Code, language: str) -> Property:
    """The dimension that a code's lens opens; the code's own words where it has none."""
    for lens in lenses(language):
        if lens.id == code.lens and code.words is not None:
            return lens.of(code.words)
    return Property(
        name=code.label, low_pole=f"shows nothing of this: {code.gloss}", high_pole=code.gloss
    )


def worded_levels(dimension: Property, language: str, *, pitfall: bool) -> dict[str, str]:
    """Word the five levels of a dimension between its poles."""
    low, high = dimension.low_pole, dimension.high_pole
    tongue = "zh" if language == "zh" else "en"
    forms = _PITFALL_LEVELS[tongue] if pitfall else _LEVELS[tongue]
    return {
        band: form.format(low=low, high=high) for band, form in zip(LEVELS, forms, strict=True)
    }


_LEVELS = {
    "en": (
        "The text {low} throughout.",
        "The text {low} in most places.",
        "In some places the text {high}; in others it {low}.",
        "The text {high} in most places.",
        "The text {high} from first to last.",
    ),
    "zh": (
        "全文{low}。",
        "多数地方{low}。",
        "有的地方{high}；有的地方{low}。",
        "多数地方{high}。",
        "自始至终{high}。",
    ),
}

_PITFALL_LEVELS = {
    "en": (
        "The text {low} throughout.",
        "The text {low} in most places.",
        "The text {low} more than once.",
        "The text {low} once, in passing.",
        "Nowhere does the text slip like this.",
    ),
    "zh": ("全文{low}。", "多数地方{low}。", "不止一处{low}。", "只有一处{low}。", "全文没有这样的毛病。"),
}


def _form(name: str, **fields: Any) -> type[BaseModel]:
    form: Any = create_model(
        name,
        __config__=ConfigDict(extra="forbid"),
        **{field: (kind, ...) for field, kind in fields.items()},
    )
    return form  # type: ignore[no-any-return]  # create_model of unpacked fields has no type


def _note_form(sentence_ids: Sequence[str], offered: Sequence[Lens]) -> type[BaseModel]:
    return _form(
        "Note",
        sentence=Literal[tuple(sentence_ids)],
        lens=Literal[tuple(lens.name for lens in offered)],
        works=bool,
    )


async def _lenses_of_all(
    task: WritingTask, text: str, embeddings: Embeddings
) -> tuple[Lens, ...]:
    found: list[Lens] = []
    for identity in IDENTITIES:
        found += await near(text[:600], identity, task.language, embeddings, LENSES_PER_READER)
    return tuple(found)


async def _demands_near(
    task: WritingTask, text: str, embeddings: Embeddings
) -> tuple[str, ...]:
    """The phrases of the request that a sentence of a draft comes closest to."""
    demands = phrases(task.brief, task.language, most=MOST_DEMANDS)
    matrix = await vectors([text, *demands], embeddings)
    order = np.argsort(-(matrix[1:] @ matrix[0]), kind="stable")
    return tuple(demands[place] for place in order[:PHRASES_PER_LENS])


def _thirds(ids: list[str]) -> list[list[str]]:
    count = min(len(PARTS), len(ids))
    cuts = [round(len(ids) * part / count) for part in range(count + 1)]
    return [ids[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


def _incident(
    task: WritingTask, draft: Draft, number: int, span: tuple[int, int], lens: Lens, *, well: bool
) -> Incident:
    text = draft.text[slice(*span)]
    dimension = lens.of(phrases(text, task.language, most=1)[0])
    effect = dimension.high_pole if well else dimension.low_pole
    note = f"这里{effect}。" if task.language == "zh" else f"Here the text {effect}."
    return Incident(
        id=f"{draft.id}.n{number}", source="draft", doc_id=draft.id, span=span, text=text, note=note
    )


def _storyline(core: Category, second: Category | None, language: str) -> str:
    poles = [c.properties[0].high_pole for c in (core, second) if c is not None]
    if language == "zh":
        return f"文本要{'，并且'.join(poles)}。"
    return f"The text {', and '.join(poles)}."
