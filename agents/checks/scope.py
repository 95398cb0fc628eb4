"""Which part of a text a check is about: each sentence, the title, the last line, the abstract."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from quillgraph.agents.text import forms, measures
from quillgraph.agents.text.sentences import sentence_spans

Part = Literal[
    "sentence", "paragraph", "line", "stanza", "section", "item", "text", "title", "label"
]
"""What a text is divided into. An item is one of a list; a text is one of several that stand in
one answer; a label stands before what it names, as in "Subject: …" or under "Abstract"."""

_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}


class Scope(BaseModel):
    """The parts of a text that a check is about; no scope means the whole text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Part
    at: Annotated[int, Field(ge=-9, le=99)] | None = None
    """Which one: 1 is the first, -1 the last; None where each of them is meant."""
    labels: tuple[Annotated[str, StringConstraints(min_length=1, max_length=40)], ...] = ()
    """Names that the part may carry in a text, the usual one first."""

    @model_validator(mode="after")
    def _names_a_part(self) -> Self:
        if self.at == 0:
            raise ValueError("expected a place from 1, or from -1 counted from the end, got 0")
        if (self.part == "label") != bool(self.labels):
            raise ValueError("expected labels for the part 'label' and for no other part")
        return self

    def __str__(self) -> str:
        if self.part == "label":
            return self.labels[0]
        if self.part == "title":
            return "title"
        return f"each {self.part}" if self.at is None else f"{self.part} {self.at}"

    @property
    def named(self) -> str:
        """Name it in English, for what a text is found to lack."""
        if self.at is None or self.part in ("title", "label"):
            return str(self)
        place = _ORDINALS.get(self.at) or (f"{self.at}th" if self.at > 0 else f"{-self.at}th last")
        return f"{place} {self.part}"

    def spans(self, text: str) -> list[str]:
        """Take these parts out of a text, in order; none where the text does not have them."""
        if self.part == "label":
            return _labelled(text, self.labels)
        parts = [part for part in _DIVISIONS[self.part](text) if part.strip()]
        if self.at is None or self.part == "title":
            return parts
        at = self.at - 1 if self.at > 0 else self.at
        return parts[at : at + 1 or None] if -len(parts) <= at < len(parts) else []


Aim = Scope | Literal["whole", "unclear"]
"""What a request asks a count of; unclear where code cannot tell, or cannot find it in a text."""


def _body(text: str) -> str:
    return "\n".join(measures.body_lines(text))


def _title(text: str) -> list[str]:
    """The first line where it is a title by its form, or follows a label such as "Title:"."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    labelled = _labelled(text, ("title", "headline", "标题", "题目"), by_heading=False)
    if labelled or not measures.has_title(text):
        return labelled[:1]
    return [re.sub(r"^[#*_\s《]+|[*_\s》#]+$", "", lines[0])]


def _sentences(text: str) -> list[str]:
    body = "\n".join(line for block in measures.blocks(text) for line in block)
    return [body[slice(*span)] for span in sentence_spans(body)]


def _paragraphs(text: str) -> list[str]:
    blocks = measures.blocks(text)
    if len(blocks) == 1 and not re.search(r"\n\s*\n", text.strip()):
        return blocks[0]
    return ["\n".join(block) for block in blocks]


def _sections(text: str) -> list[str]:
    """What stands under the headings of one kind: the deepest kind that there are two of."""
    lines = text.splitlines()
    kinds: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        if kind := measures.heading_kind(line):
            kinds.setdefault(kind, []).append(at)
    places = next((at for _, at in sorted(kinds.items(), reverse=True) if len(at) > 1), [])
    ends = [*places[1:], len(lines)][: len(places)]
    return ["\n".join(lines[a + 1 : b]) for a, b in zip(places, ends, strict=True)]


def _texts(text: str) -> list[str]:
    """Several texts in one answer: between rules, under headings, or the items of a list."""
    pieces = [piece for piece in re.split(r"(?m)^\s*[-*_=]{3,}\s*$", text) if piece.strip()]
    if len(pieces) > 1:
        return [_body(piece) for piece in pieces]
    return _sections(text) or forms.list_items(text)


_DIVISIONS = {
    "sentence": _sentences,
    "paragraph": _paragraphs,
    "line": lambda text: [line for block in measures.blocks(text) for line in block],
    "stanza": lambda text: ["\n".join(block) for block in measures.blocks(text)],
    "section": _sections,
    "item": forms.list_items,
    "text": _texts,
    "title": _title,
}


def _labelled(text: str, labels: tuple[str, ...], *, by_heading: bool = True) -> list[str]:
    """What stands behind a label, on its line, or below it up to the next heading or label."""
    names = "|".join(re.escape(label).replace(r"\ ", r"[\s-]*") for label in labels)
    marks = r"[\s#*_【\[]*"
    # Subject: … / **Abstract** … / 【摘要】… / a line of its own
    close = r"(?:[\s*_】\]]*[:：]|\s*[】\]]|(?<=\w)(?:\*\*|__))(?P<rest>.*)"
    label = re.compile(rf"^{marks}(?:{names})(?:{close}|[\s*_】\]]*$)", re.IGNORECASE)
    lines = text.splitlines()
    for at, line in enumerate(lines):
        match = label.match(line)
        if not match:
            continue
        rest = re.sub(r"^[\s*_]+|[\s*_]+$", "", match["rest"] or "")
        if rest:
            return [rest]
        if by_heading or match["rest"] is not None:
            return _below(lines[at + 1 :])
    return []


def _below(lines: list[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if measures.heading_kind(line) or re.match(r"^[\s*_]*[^\s:：][^:：。.]{0,30}[:：]", line):
            break
        kept.append(line)
    joined = "\n".join(kept).strip()
    return [joined] if joined else []
