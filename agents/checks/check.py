"""A check: a literal demand that code decides without a model.

Each check is a frozen value that goes to JSON and back, told apart by its `type`. A new kind is
one class; `CHECKS` finds it by its type, in this package or in another one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from quillgraph.agents.checks.registry import Registry
from quillgraph.agents.checks.wording import Wording

GROUP = "quillgraph.checks"
"""Entry points of this group are checks of other packages, by their `type`."""


class Check(BaseModel, ABC):
    """A demand that code decides; a field of this type holds a check of any kind.

    A kind is a class with a field `type`, a literal whose default is the same, and whatever fields
    it needs. It refuses unknown fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    if TYPE_CHECKING:  # a field of the base class would come first in the JSON of every kind
        type: str

    audited_by: ClassVar[Literal["bounds", "terms"] | None] = None
    """What the brief auditor gives to make one: the fields `min` and `max`, or `terms`; None where
    only the rules of a language make it."""

    @abstractmethod
    def violation(self, text: str) -> str | None:
        """Say in one sentence what is expected and what the text has; None where it keeps it.

        An empty text violates whatever demands that something be there.
        """

    @abstractmethod
    def name_in(self, wording: Wording) -> str:
        """Name the demand in a few words of a language."""

    def description_in(self, wording: Wording) -> str:
        """Say in one sentence of a language what the text must be like."""
        return wording.describe(self.type, self.name_in(wording))

    def nearness(self, text: str) -> float:
        """Rate from 0 to 1 how near a text comes that does not keep it; 0 where there is no near.

        Training asks for it (`ALGORITHM.md` 6.3): yes or no teaches a beginner nothing.
        """
        return 0.0

    def pieces(self, text: str) -> Sequence[tuple["Check", str]]:
        """What of a text is rated by itself, each with its check: the text unless it says else."""
        return [(self, text)]

    @property
    def subject(self) -> str:
        """What two demands of one request must share to be merged into one."""
        return self.type

    def merge(self, other: Self) -> Self | None:
        """Make one demand of two on the same subject; None where they contradict each other."""
        return self if self == other else None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if "__get_pydantic_core_schema__" in vars(cls):  # the base class stands for any kind
            return core_schema.no_info_plain_validator_function(cls._read)
        return handler(source)

    @classmethod
    def _read(cls, value: Any) -> "Check":
        """Read a check of any kind.

        Raises:
            ValueError: If nothing says its kind, or no installed package has that kind.
        """
        if isinstance(value, Check):
            return value
        kind = value.get("type") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            raise ValueError(f"expected a check with its kind as 'type', got {value!r}")
        return CHECKS.load(kind).model_validate(value)


def _type_of(part: Any) -> str | None:
    if not (isinstance(part, type) and issubclass(part, Check)) or "type" not in part.model_fields:
        return None
    return str(part.model_fields["type"].default)


_COUNTS, _WORDS, _MANNER = (
    f"quillgraph.agents.checks.{module}" for module in ("count", "words", "manner")
)

CHECKS: Registry[type[Check]] = Registry(
    what="check",
    group=GROUP,
    built_in={
        "word_count": f"{_COUNTS}:WordCount",
        "char_count": f"{_COUNTS}:CharCount",
        "sentence_count": f"{_COUNTS}:SentenceCount",
        "line_count": f"{_COUNTS}:LineCount",
        "paragraph_count": f"{_COUNTS}:ParagraphCount",
        "stanza_count": f"{_COUNTS}:StanzaCount",
        "section_count": f"{_COUNTS}:SectionCount",
        "list_count": f"{_COUNTS}:ListCount",
        "classical_verse": f"{_MANNER}:ClassicalVerse",
        "must_include": f"{_WORDS}:MustInclude",
        "must_not_include": f"{_WORDS}:MustNotInclude",
        "language": f"{_MANNER}:WrittenIn",
        "format": f"{_MANNER}:Format",
        "dialogue": f"{_MANNER}:Dialogue",
        "person": f"{_MANNER}:Person",
        "starts_with": f"{_WORDS}:Opening",
        "ends_with": f"{_WORDS}:Ending",
        "title": f"{_MANNER}:Title",
    },
    name_of=_type_of,
)
"""Every kind of check by its `type`."""
