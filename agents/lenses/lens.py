"""Sensitizing concepts: what three kinds of readers look for in any piece of writing.

Blumer's (1954) sensitizing concepts suggest where to look, not what to see. A strong model sees
them as suggestions. A small one cannot name a quality in its own words (measured, LOG.md
2026-11-23), so it chooses among those near a passage.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from langchain_core.embeddings import Embeddings

from quillgraph.agents.checks.language import PhraseKind, language_for
from quillgraph.agents.checks.templates import Grading
from quillgraph.agents.domain import Property, Value
from quillgraph.agents.requests.kinds import Circumstance
from quillgraph.backends.embeddings import vectors

IDENTITIES = {
    "reader": "a reader, who looks at effect",
    "editor": "an editor, who looks at craft",
    "auditor": "a brief auditor, who checks what was asked",
}
"""The coders and what each looks at; identities as in Thematic-LM."""

SHORTLIST = 4
"""Lenses that are offered for one passage."""


class Lens(Value):
    """One sensitizing concept, in one language."""

    id: str
    identity: str
    """Identity that looks through it: reader, editor or auditor."""
    name: str
    high: str
    """What a good text does, as a verb phrase with a place for {words}."""
    low: str
    """What a poor text does."""
    cues: str
    """Regular expression of words that call for this lens."""
    fits: tuple[PhraseKind, ...]
    """Kinds of phrases that it may be applied to."""
    levels: Grading
    """How the levels between its poles are worded."""
    only_cued: bool = False
    """Whether it is offered only where a passage calls for it."""
    unless: tuple[Circumstance, ...] = ()
    """Circumstances that rule it out."""

    def of(self, words: str) -> Property:
        """The dimension that this lens opens on a phrase."""
        return Property(
            name=f"{self.name}: {words}",
            low_pole=self.low.format(words=words),
            high_pole=self.high.format(words=words),
            is_clause=True,
        )


@cache
def lenses(language: str) -> tuple[Lens, ...]:
    """All lenses in the words of a language; in English where it has none."""
    words = language_for(language).templates.lenses
    text = resources.files("quillgraph.agents").joinpath("lenses.yaml").read_text("utf-8")
    table: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return tuple(
        Lens.model_validate(
            {"id": lens_id, "identity": identity, **entry, **words[lens_id].model_dump()}
        )
        for identity, entries in table.items()
        for lens_id, entry in entries.items()
    )


async def near(
    text: str,
    identity: str,
    language: str,
    embeddings: Embeddings,
    count: int = SHORTLIST,
    *,
    among: Sequence[Lens] | None = None,
) -> tuple[Lens, ...]:
    """Find the lenses of an identity that a passage calls for: by its cues, then by meaning.

    Lenses without a cue are left out where others have one. `among` narrows the choice.
    """
    of_all = lenses(language) if among is None else among
    own = [lens for lens in of_all if lens.identity == identity]
    if not own:
        return ()
    words = [f"{lens.name}: {lens.high.format(words='it')}" for lens in own]
    matrix = await vectors([text, *words], embeddings)
    cosine = matrix[1:] @ matrix[0]
    cue_counts = np.array([len(re.findall(lens.cues, text, re.IGNORECASE)) for lens in own])
    # a cue outweighs any difference of cosines, and two cues outweigh one
    order = np.argsort(-(2.0 * np.minimum(cue_counts, 2) + cosine), kind="stable")[:count]
    matches = [own[place] for place in order if cue_counts[place]]
    return tuple(matches or (own[place] for place in order))
