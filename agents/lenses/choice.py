"""Choices: how a small model plays the roles, choosing where a larger model writes.

SmolLM2-135M tells a story if a prompt asks it to name a quality (measured, LOG.md 2026-11-23). So
each call offers options that all make sense, as enums of a JSON schema: the sensitizing concepts
near a passage, phrases of the passage itself, ids of codes. The model's choices decide the study;
the wording around them comes from the language (`templates.yaml`).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from langchain_core.embeddings import Embeddings

from quillgraph.agents.checks.language import language_for
from quillgraph.agents.domain import (
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
from quillgraph.agents.lenses.anchors import dimension_of, storyline_of
from quillgraph.agents.lenses.lens import IDENTITIES
from quillgraph.agents.lenses.reading import Reading, closest, demanded, known_and_new, readings_of
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, some_of
from quillgraph.agents.requests.segments import segment
from quillgraph.agents.role import Role, ask

PARTS = ("opening", "middle", "close")
"""Thirds of a draft; the observer makes a note on each."""

MOST_EVIDENCE = 2

MOST_PASSAGE = 600
"""Characters of an incident in a prompt; only pasted material is longer."""

CUED, GUESSED = 4, 2
"""Confidence of a reading that words of the request call for, and of any other reading."""

READINGS_PER_SENTENCE = 2


async def choose_coding(
    task: WritingTask, incident: Incident, identity: str, role: Role, embeddings: Embeddings
) -> Coding:
    """Choose how to read one incident.

    Raises:
        ReplyError: If the reply is none of the options.
    """
    if incident.source == "request":
        readings = await readings_of(task, incident, identity, embeddings)
    else:
        readings = await known_and_new(task, incident, identity, embeddings)
    by_name = {reading.dimension.name: reading for reading in readings}
    choice: Any = await ask(
        role,
        render(
            "choosing_code",
            request=role.brief(task),
            identity=IDENTITIES[identity],
            passage=incident.text[:MOST_PASSAGE],
            readings="\n".join(by_name),
        ),
        form("CodingChoice", reading=one_of(by_name)),
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
        confidence=CUED if reading.cued and incident.source == "request" else GUESSED,
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
    """Choose a sentence in each third of a draft, with a reading and whether it works or fails.

    Args:
        task: The request.
        draft: The draft to observe.
        spans: Start and end of each sentence, in characters.
        role: The observer.
        embeddings: Embeddings to find the lenses near a sentence.

    Raises:
        ReplyError: If the reply is none of the options.
    """
    readings = [r for i in IDENTITIES for r in await demanded(task, i, embeddings)]
    # all three identities read a prohibition the same way
    demands = list({reading.dimension.name: reading for reading in readings}.values())
    options: dict[str, dict[str, tuple[tuple[int, int], Reading, bool]]] = {}
    for part, numbers in zip(PARTS, _thirds(len(spans)), strict=False):
        options[part] = {}
        for number in numbers:
            sentence = draft.text[slice(*spans[number])]
            for reading in (await closest(sentence, demands, embeddings))[:READINGS_PER_SENTENCE]:
                place = f"s{number + 1} {reading.dimension.name}"
                options[part][f"{place}: works"] = spans[number], reading, True
                options[part][f"{place}: fails"] = spans[number], reading, False
    choice: Any = await ask(
        role,
        render(
            "choosing_notes",
            request=role.brief(task),
            sentences="\n".join(f"s{n}: {draft.text[a:b]}" for n, (a, b) in enumerate(spans, 1)),
        ),
        form("NotesChoice", **{part: one_of(notes) for part, notes in options.items()}),
        item=draft.id,
        temperature=0.5,
        max_tokens=200,
    )
    choices = [options[part][note] for part, note in choice]
    return tuple(_incident(task, draft, number, *note) for number, note in enumerate(choices, 1))


async def choose_category(
    task: WritingTask, category_id: str, codes: Sequence[Code], role: Role
) -> Category:
    """Choose the code that leads a group; the category takes its name and definition.

    Raises:
        ReplyError: If the reply is none of the options.
    """
    ids = tuple(code.id for code in codes)
    highest = max(code.confidence for code in codes)
    leaders = tuple(code.id for code in codes if code.confidence == highest)
    slots = form("Slots", **dict.fromkeys(ids, one_of([*PARADIGM, "none"])))
    choice: Any = await ask(
        role,
        render(
            "choosing_category",
            request=role.brief(task),
            codes="\n".join(f"{code.id}: {code.label}" for code in codes),
        ),
        form("CategoryChoice", leader=one_of(leaders), slots=slots),
        item="+".join(ids),
        temperature=0.3,
        max_tokens=60 + 16 * len(ids),
    )
    ordered = sorted(codes, key=lambda code: (code.id != choice.leader, -code.confidence))
    slot_of = choice.slots.model_dump()
    paradigm = {slot: tuple(i for i in ids if slot_of[i] == slot) for slot in PARADIGM}
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
    """Choose the core category and the tiers.

    Returns:
        Id of the core, tiers by category id, and the storyline that code writes from the choice.

    Raises:
        ReplyError: If the reply is none of the options.
    """
    ids = tuple(category.id for category in categories)
    tier = one_of(["essential", "important", "optional"])
    choice: Any = await ask(
        role,
        render(
            "choosing_core",
            request=role.brief(task),
            categories="\n".join(f"{c.id}: {c.name}" for c in categories),
            relations="\n".join(f"{r.src} {r.type} {r.dst}" for r in relations) or "none",
        ),
        form("CoreChoice", core=one_of(ids), tiers=form("Tiers", **dict.fromkeys(ids, tier))),
        item="+".join(ids),
        temperature=0.3,
        max_tokens=60 + 16 * len(ids),
    )
    tiers = choice.tiers.model_dump()
    second = next(
        (c for c in categories if c.id != choice.core and tiers[c.id] != "optional"), None
    )
    core = next(category for category in categories if category.id == choice.core)
    return choice.core, tiers, storyline_of(core, second, task.language)


async def choose_evidence(
    task: WritingTask, criterion: str, incidents: Sequence[Incident], item: str, role: Role
) -> tuple[str, ...]:
    """Choose the incidents that a criterion cites.

    Raises:
        ReplyError: If the reply is none of the options.
    """
    choice: Any = await ask(
        role,
        render(
            "choosing_evidence",
            request=role.brief(task),
            criterion=criterion,
            passages="\n".join(f"{i.id}: {i.text[:120]}" for i in incidents),
        ),
        form("EvidenceChoice", evidence=some_of((i.id for i in incidents), most=MOST_EVIDENCE)),
        item=item,
        temperature=0.3,
        max_tokens=20 + 12 * MOST_EVIDENCE,
    )
    return tuple(dict.fromkeys(choice.evidence))


def near_in_request(
    task: WritingTask, cited: Sequence[str], dimension: Property
) -> tuple[Incident, ...]:
    """Incidents of the request that a criterion may cite if all its evidence is from drafts.

    They are the incidents of the request in `cited`, and those with the phrase of its dimension,
    which come first.
    """
    words = dimension.name.partition(": ")[2]
    incidents = [i for i in segment(task) if i.id in cited or (words and words in i.text)]
    return tuple(sorted(incidents, key=lambda incident: words not in incident.text))


def _thirds(count: int) -> list[range]:
    parts = min(len(PARTS), count)
    cuts = [round(count * part / parts) for part in range(parts + 1)]
    return [range(start, end) for start, end in pairwise(cuts)]


def _incident(
    task: WritingTask,
    draft: Draft,
    number: int,
    span: tuple[int, int],
    reading: Reading,
    works: bool,
) -> Incident:
    pole = reading.dimension.high_pole if works else reading.dimension.low_pole
    return Incident(
        id=f"{draft.id}.n{number}",
        source="draft",
        doc_id=draft.id,
        span=span,
        text=draft.text[slice(*span)],
        note=language_for(task.language).templates.note.format(pole=pole),
    )
