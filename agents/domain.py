"""The vocabulary of Grounded Theory, as frozen values (`ALGORITHM.md` 6.1)."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from quillgraph.agents.checks.check import Check

MAX_REQUEST_CHARS = 32_000

BRIEF_CHARS = 1_200
"""Most characters of a request that `WritingTask.brief` keeps."""


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WritingTask(Value):
    """A request for a piece of writing."""

    request: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REQUEST_CHARS)]
    language: str
    """ISO 639-1 code of the request's language."""
    genre: str = "writing"

    @property
    def brief(self) -> str:
        """The request, cut to `BRIEF_CHARS`: a longer one is too much for a small model."""
        if len(self.request) <= BRIEF_CHARS:
            return self.request
        return self.request[:BRIEF_CHARS].rstrip() + " […]"

    @property
    def request_hash(self) -> str:
        """SHA-256 of the request's text, in hexadecimal digits."""
        return hashlib.sha256(self.request.encode()).hexdigest()


class Incident(Value):
    """A piece of the data that can be coded: a clause of the request, or a note on a draft."""

    id: str
    source: Literal["request", "draft", "memory"]
    doc_id: str
    """`request`, or the id of the draft that the note is about."""
    span: tuple[int, int]
    """Start and end of the text in the document, in characters."""
    text: str
    """The words at the span, verbatim."""
    note: str | None = None
    """What the words do to the reader, as an observer saw it; None for the request itself."""


class Draft(Value):
    """A text written for the task."""

    id: str
    text: str
    strength: Literal["weak", "strong"]
    """How well the writer was asked to write; no reader of the draft sees it."""


class Coding(Value):
    """A code that a coder proposes for incidents, not yet compared with the other codes."""

    label: str
    """At most seven words."""
    gloss: str
    evidence: tuple[str, ...] = Field(min_length=1)
    """Ids of the incidents that show it."""
    coder: str
    confidence: int = Field(ge=1, le=5)
    near: str | None = None
    """Id of the existing code that means the same, in the coder's judgement."""
    lens: str | None = None
    """Id of the sensitizing concept that it was chosen by; None where a model wrote it."""
    words: str | None = None
    """The phrase that the lens was applied to, verbatim."""


class Code(Value):
    """A name for what one or more incidents ask for or do."""

    id: str
    label: str
    """At most seven words."""
    gloss: str
    evidence: tuple[str, ...] = Field(min_length=1)
    """Ids of the incidents that show the code."""
    coder: str
    confidence: int = Field(ge=1, le=5)
    lens: str | None = None
    words: str | None = None


class Property(Value):
    """One dimension of a category, from its low pole to its high pole."""

    name: str
    low_pole: str
    high_pole: str
    is_clause: bool = False
    """Whether the poles are verb phrases with the subject "the text", as lenses word them."""


PARADIGM = ("phenomenon", "causal", "context", "intervening", "strategies", "consequences")
"""Slots of Strauss and Corbin's coding paradigm."""


class Category(Value):
    """Codes that belong together, with the dimensions along which texts differ in them."""

    id: str
    name: str
    definition: str
    code_ids: tuple[str, ...] = Field(min_length=1)
    properties: tuple[Property, ...] = Field(min_length=1)
    paradigm: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Paradigm slot to code ids; a slot may be missing, nothing is forced."""


RelationType = Literal["causes", "conditions", "enables", "conflicts", "part_of", "realises"]


class Relation(Value):
    """A directed link between two categories."""

    src: str
    dst: str
    type: RelationType


Tier = Literal["essential", "important", "optional", "pitfall"]

TIER_WEIGHT: dict[Tier, float] = {
    "essential": 1.0,
    "important": 0.7,
    "optional": 0.3,
    "pitfall": 0.9,
}
"""Weights of Rubrics as Rewards (arXiv:2507.17746)."""


class Core(Value):
    """The core category, which all others relate to, and the storyline that joins them."""

    category_id: str
    storyline: str


class Memo(Value):
    """Why something was decided; memos are only ever added."""

    stage: str
    round: int
    agent: str
    text: str
    refs: tuple[str, ...] = ()


class Dropped(Value):
    """Something that was left out, and why; counted and shown, never silent."""

    stage: str
    agent: str
    reason: str
    text: str


LEVELS = ("1-2", "3-4", "5-6", "7-8", "9-10")
"""Bands of the ten-point scale, as WritingBench (arXiv:2503.05244) words them."""


class Criterion(Value):
    """One observable property in which texts for this request differ."""

    id: str
    name: str
    description: str
    kind: Literal["soft", "hard", "pitfall"]
    tier: Tier
    weight: float = Field(ge=0)
    levels: dict[str, str]
    """Band of the scale to what a text in it does; empty for a hard criterion."""
    category_id: str | None
    """None for a hard criterion, which the request states itself."""
    evidence: tuple[str, ...] = Field(min_length=1)
    """Ids of the incidents that it rests on."""
    check: Check | None = None
    """How code decides a hard criterion; None where a judge has to read."""


FORMAT_VERSION = 1


class CriteriaSet(Value):
    """A frozen set of criteria; a score is valid only under the `sha256` it was given for."""

    version: int = FORMAT_VERSION
    request_hash: str
    language: str
    genre: str
    core: Core
    criteria: tuple[Criterion, ...]
    stats: dict[str, Any] = Field(default_factory=dict)
    """Counts and measures of the run that made the set; not part of the hash."""
    sha256: str = ""

    @model_validator(mode="after")
    def _seal(self) -> Self:
        digest = self._digest()
        if self.sha256 and self.sha256 != digest:
            raise ValueError(
                f"the criteria do not have the hash they carry: expected {digest[:12]}…, got "
                f"{self.sha256[:12]}…; the file was edited by hand or damaged"
            )
        object.__setattr__(self, "sha256", digest)
        return self

    def _digest(self) -> str:
        content = self.model_dump(mode="json", exclude={"sha256", "stats"})
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
