"""The blind observer: what single sentences of a draft do to their reader."""

import re
from typing import Annotated, Any, Literal

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field, create_model

from quillgraph.agents.asking import Answers, Role, ask_each, lost_reply
from quillgraph.agents.choosing import choose_notes
from quillgraph.agents.domain import Draft, Incident, WritingTask
from quillgraph.agents.prompting import render
from quillgraph.backends.errors import ReplyError

MOST_SENTENCES = 24
"""Sentences of a draft that are shown; the rest would only lengthen the prompt."""

MOST_NOTES = 8

_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?。！？]+[\"'”’」』)]*|(?=\n)|$)")


def sentences(text: str) -> list[tuple[int, int]]:
    """Find the spans of the sentences of a text, blank ones left out."""
    spans = []
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        stripped = text[start:end].strip()
        if any(character.isalnum() for character in stripped):
            start += text[start:end].index(stripped[0])
            spans.append((start, start + len(stripped)))
    return spans


async def observe(
    task: WritingTask, draft: Draft, role: Role, embeddings: Embeddings
) -> Answers[Incident]:
    """Note what sentences of the draft do to the reader; each note becomes an incident.

    The observer points at sentences by id, so that every note rests on words that are there.
    """
    spans = sentences(draft.text)[:MOST_SENTENCES]
    if not spans:
        return Answers(())
    if role.chooses:
        try:
            return Answers(await choose_notes(task, draft, spans, role, embeddings))
        except ReplyError as error:
            return Answers((), (lost_reply("observation", role, error),))
    shown = {f"s{number}": span for number, span in enumerate(spans, 1)}
    answers = await ask_each(
        role,
        render(
            "observing",
            request=task.brief,
            sentences="\n".join(f"{key}: {draft.text[a:b]}" for key, (a, b) in shown.items()),
        ),
        _note_form(tuple(shown)),
        item=draft.id,
        stage="observation",
        at_least=min(3, len(spans)),
        at_most=min(MOST_NOTES, len(spans)),
        temperature=0.4,
        max_tokens=600,
    )
    notes: list[Any] = _one_note_a_sentence(answers.items)
    incidents = tuple(
        Incident(
            id=f"{draft.id}.n{number}",
            source="draft",
            doc_id=draft.id,
            span=shown[note.sentence],
            text=draft.text[slice(*shown[note.sentence])],
            note=note.note,
        )
        for number, note in enumerate(notes, 1)
    )
    return Answers(incidents, answers.dropped)


def _note_form(ids: tuple[str, ...]) -> type[BaseModel]:
    return create_model(
        "Note",
        __config__=ConfigDict(extra="forbid"),
        sentence=(Literal[ids], ...),
        note=(Annotated[str, Field(min_length=8, max_length=160)], ...),
    )


def _one_note_a_sentence(notes: tuple[Any, ...]) -> list[Any]:
    return list({note.sentence: note for note in reversed(notes)}.values())[::-1]
