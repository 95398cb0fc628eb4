"""Readings: what a passage can be taken to ask for, or to show, in one of three readers' eyes."""

import re
from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from quillgraph.agents.comparing import vectors
from quillgraph.agents.constraints import find_constraints, is_said_in_full
from quillgraph.agents.domain import Incident, Property, Value, WritingTask
from quillgraph.agents.lenses import Lens, lenses, near
from quillgraph.agents.phrases import is_negated, phrases
from quillgraph.agents.segmenting import segment

PHRASES_PER_LENS = 2
"""Phrases that a lens is turned on where no cue says which."""

MOST_READINGS = 8

CUE_REACH = 12
"""Characters between a cue ("set it in") and the phrase that it speaks of ("a lighthouse")."""

KNOWN_READINGS, NEW_READINGS = 3, 1
"""Readings of the request, and others, that are offered for a sentence of a draft."""


class Reading(Value):
    """A lens turned on a phrase."""

    lens: Lens
    words: str
    cued: bool
    """Whether the passage itself calls for this lens."""

    @property
    def dimension(self) -> Property:
        """The dimension that opens."""
        return self.lens.of(self.words)


def readings(passage: str, found: Sequence[Lens], phrases: Sequence[str]) -> tuple[Reading, ...]:
    """Turn lenses on the phrases that stand where their cues are.

    Args:
        passage: The words under study.
        found: Lenses that lie near it.
        phrases: What they may be turned on; parts of the passage where cues are to count.
    """
    offered: dict[str, Reading] = {}
    for lens in found:
        at = [match.span() for match in re.finditer(lens.cues, passage, re.IGNORECASE)]
        called = [phrase for phrase in phrases if _is_called(passage, phrase, at)]
        for phrase in called or phrases[:PHRASES_PER_LENS]:
            reading = Reading(lens=lens, words=phrase, cued=bool(called))
            offered[reading.dimension.name] = reading
    return tuple(offered.values())[:MOST_READINGS]


def _is_called(passage: str, phrase: str, cues: Sequence[tuple[int, int]]) -> bool:
    """Whether a phrase overlaps a cue or is the next thing behind it."""
    start = passage.find(phrase)
    return start >= 0 and any(
        cue_start < start + len(phrase) and start < cue_end + CUE_REACH
        for cue_start, cue_end in cues
    )


async def demanded(task: WritingTask, identity: str, embeddings: Embeddings) -> tuple[Reading, ...]:
    """What the request asks for in an identity's eyes, as far as code cannot check it."""
    incidents = segment(task)
    constraints = find_constraints(incidents)
    open_ones = [i for i in incidents if not is_said_in_full(i, constraints)] or list(incidents)
    found = [await readings_of(i, identity, task.language, embeddings) for i in open_ones]
    every = [reading for few in found for reading in few]
    return tuple([reading for reading in every if reading.cued] or every)


async def readings_of(
    incident: Incident, identity: str, language: str, embeddings: Embeddings
) -> tuple[Reading, ...]:
    """What an incident of the request asks for; a prohibition can only be kept or broken."""
    if is_negated(incident.text):
        found = tuple(lens for lens in lenses(language) if lens.id == "restraint")
    else:
        found = await near(incident.text, identity, language, embeddings)
    return readings(incident.text, found, phrases(incident.text, language))


async def known_and_new(
    task: WritingTask, incident: Incident, identity: str, embeddings: Embeddings
) -> tuple[Reading, ...]:
    """What a draft's sentence may show: demands of the request, or a lens of its own.

    A new lens is turned on the request's words too: the study is of the request, and a draft's
    inventions are no demand of it.
    """
    demands = await demanded(task, identity, embeddings)
    seen = f"{incident.text} {incident.note}"
    known = (await closest(seen, demands, embeddings))[:KNOWN_READINGS]
    found = await near(incident.text, identity, task.language, embeddings, count=NEW_READINGS)
    new = [Reading(lens=lens, words=known[0].words, cued=False) for lens in found]
    return (*known, *new)


async def closest(
    text: str, offered: Sequence[Reading], embeddings: Embeddings
) -> tuple[Reading, ...]:
    """Order readings by how near what they ask for comes to a text."""
    matrix = await vectors([text, *(r.dimension.high_pole for r in offered)], embeddings)
    order = np.argsort(-(matrix[1:] @ matrix[0]), kind="stable")
    return tuple(offered[place] for place in order)
