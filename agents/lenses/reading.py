"""Readings: what a passage may ask for, or show, as one of three identities reads it."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.checks.language import DEFAULT, phrasing_of
from quillgraph.agents.domain import Incident, Property, Value, WritingTask
from quillgraph.agents.lenses.lens import Lens, lenses, near
from quillgraph.agents.requests.constraints import find_constraints, is_said_in_full
from quillgraph.agents.requests.kinds import Circumstance, circumstances, kind_of
from quillgraph.agents.requests.segments import segment
from quillgraph.agents.text.phrases import phrases, with_its_place
from quillgraph.backends.embeddings import vectors

PHRASES_PER_LENS = 2
"""Phrases that a lens is applied to where no cue selects one."""

MOST_READINGS = 8

CUE_REACH = 12
"""Characters between a cue ("set it in") and the phrase that it speaks of ("a lighthouse")."""

KNOWN_READINGS, NEW_READINGS = 3, 1
"""Readings of the request, and others, that are offered for a sentence of a draft."""


class Reading(Value):
    """A lens applied to a phrase."""

    lens: Lens
    words: str
    cued: bool
    """Whether the passage itself calls for this lens."""

    @property
    def dimension(self) -> Property:
        """The dimension that the lens opens on the phrase."""
        return self.lens.of(self.words)


def readings(
    passage: str, offers: Sequence[Lens], phrases: Sequence[str], language: str = DEFAULT
) -> tuple[Reading, ...]:
    """Apply lenses to the phrases that they fit; where some lie at a cue, to those only.

    Args:
        passage: The words under study.
        offers: Lenses that lie near it.
        phrases: Phrases to apply them to; parts of the passage where cues are to count.
        language: Of the request.
    """
    by_name: dict[str, Reading] = {}
    for lens in offers:
        at = [match.span() for match in re.finditer(lens.cues, passage, re.IGNORECASE)]
        fitting = [phrase for phrase in phrases if kind_of(phrase, language) in lens.fits]
        cued = [phrase for phrase in fitting if _is_called(passage, phrase, at)]
        for phrase in cued or fitting[: 0 if lens.only_cued else PHRASES_PER_LENS]:
            reading = Reading(lens=lens, words=phrase, cued=bool(cued))
            by_name[reading.dimension.name] = reading
    return tuple(by_name.values())[:MOST_READINGS]


def _is_called(passage: str, phrase: str, cues: Sequence[tuple[int, int]]) -> bool:
    """Whether a phrase overlaps a cue or is the next thing behind it."""
    start = passage.find(phrase)
    return start >= 0 and any(
        cue_start < start + len(phrase) and start < cue_end + CUE_REACH
        for cue_start, cue_end in cues
    )


async def demanded(task: WritingTask, identity: str, embeddings: Embeddings) -> tuple[Reading, ...]:
    """Readings of what the request asks for, by one identity, where code cannot check it."""
    incidents = segment(task)
    constraints = find_constraints(incidents, task.language)
    open_ones = [
        i for i in incidents if not is_said_in_full(i, constraints, task.language)
    ] or list(incidents)
    rounds = [await readings_of(task, i, identity, embeddings) for i in open_ones]
    every = [reading for few in rounds for reading in few]
    return tuple([reading for reading in every if reading.cued] or every)


async def readings_of(
    task: WritingTask, incident: Incident, identity: str, embeddings: Embeddings
) -> tuple[Reading, ...]:
    """Readings of what an incident of the request asks for, where code cannot check it.

    A prohibition, or a demand on the beginning or the end, can only be kept or broken. Where an
    incident has one, the auditor reads nothing else; the others read it only where there is nothing
    else.
    """
    every = open_phrases(task, incident)
    rules = [phrase for phrase in every if kind_of(phrase, task.language) in RULES]
    free = [phrase for phrase in every if kind_of(phrase, task.language) not in RULES]
    if rules and (identity == "auditor" or not free):
        return tuple(
            Reading(lens=lens, words=phrase, cued=True)
            for phrase in rules
            for lens in lenses(task.language)
            if kind_of(phrase, task.language) in lens.fits
        )
    apt = _apt(task, identity, free, incident.text)
    nearest = await near(incident.text, identity, task.language, embeddings, among=apt)
    # a cue may call for a lens that fits no phrase near it
    return (
        readings(incident.text, nearest, free, task.language)
        or readings(incident.text, apt, free, task.language)
        or _at_a_loss(task, identity, free)
    )


RULES = ("ban", "edge")
"""Kinds of phrases that can only be kept or broken."""


def open_phrases(task: WritingTask, incident: Incident) -> list[str]:
    """The phrases of an incident that no constraint covers; all, if all are covered."""
    passage = with_its_place(task.request, incident.span, incident.text)
    every = phrases(passage, phrasing_of(task.language))
    quotes = [constraint.quote for constraint in find_constraints([incident], task.language)]
    # a kind of text is more than the lines or the greeting that code can check
    uncovered = [
        p
        for p in every
        if kind_of(p, task.language) == "form" or not any(p in quote for quote in quotes)
    ]
    return uncovered or list(every)


def _apt(task: WritingTask, identity: str, words: Sequence[str], cueing: str = "") -> list[Lens]:
    """The lenses of an identity that fit a phrase and are not ruled out by the request."""
    kinds = {kind_of(phrase, task.language) for phrase in words}
    setting = _circumstances(task)
    return [
        lens
        for lens in lenses(task.language)
        if lens.identity == identity
        and not kinds.isdisjoint(lens.fits)
        and setting.isdisjoint(lens.unless)
        and (not lens.only_cued or re.search(lens.cues, cueing, re.IGNORECASE))
    ]


@lru_cache(maxsize=64)
def _circumstances(task: WritingTask) -> frozenset[Circumstance]:
    return circumstances(task.request, find_constraints(segment(task), task.language))


def _at_a_loss(task: WritingTask, identity: str, words: Sequence[str]) -> tuple[Reading, ...]:
    """Where no lens fits, apply the identity's lens that fits the most kinds of phrases."""
    own = [x for x in lenses(task.language) if x.identity == identity and not x.only_cued]
    widest = max(own, key=lambda lens: len(lens.fits))
    return tuple(Reading(lens=widest, words=phrase, cued=False) for phrase in words)


async def known_and_new(
    task: WritingTask, incident: Incident, identity: str, embeddings: Embeddings
) -> tuple[Reading, ...]:
    """Readings of what a draft's sentence may show: demands of the request, or a new lens.

    A new lens is applied to words of the request too: the study is about the request, and a draft's
    inventions are not demands.
    """
    demands = await demanded(task, identity, embeddings)
    passage = f"{incident.text} {incident.note}"
    known = (await closest(passage, demands, embeddings))[:KNOWN_READINGS]
    words = known[0].words
    apt = _apt(task, identity, [words])
    nearest = await near(
        incident.text, identity, task.language, embeddings, count=NEW_READINGS, among=apt
    )
    new = [Reading(lens=lens, words=words, cued=False) for lens in nearest]
    return (*known, *new)


async def closest(
    text: str, offered: Sequence[Reading], embeddings: Embeddings
) -> tuple[Reading, ...]:
    """Order readings by how near their high pole is to a text."""
    matrix = await vectors([text, *(r.dimension.high_pole for r in offered)], embeddings)
    order = np.argsort(-(matrix[1:] @ matrix[0]), kind="stable")
    return tuple(offered[place] for place in order)
