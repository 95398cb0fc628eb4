"""The blind observer: note how single sentences of a draft affect their reader."""

from typing import Any

from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import Draft, Incident, WritingTask
from quillgraph.agents.lenses.choice import choose_notes
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text
from quillgraph.agents.role import Answers, Role, ask_each, lost_reply
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.backends.errors import ReplyError

MOST_SENTENCES = 24
"""Most sentences of a draft in the prompt."""

MOST_NOTES = 8


async def observe(
    task: WritingTask, draft: Draft, role: Role, embeddings: Embeddings
) -> Answers[Incident]:
    """Note how sentences of the draft affect the reader; each note becomes an incident.

    The observer names sentences by id, so that every note rests on words of the draft.
    """
    spans = sentence_spans(draft.text)[:MOST_SENTENCES]
    if not spans:
        return Answers(())
    if role.chooses:
        try:
            return Answers(await choose_notes(task, draft, spans, role, embeddings))
        except ReplyError as error:
            return Answers((), (lost_reply("observation", role, error),))
    by_key = {f"s{number}": span for number, span in enumerate(spans, 1)}
    answers = await ask_each(
        role,
        render(
            "observing",
            request=role.brief(task),
            sentences="\n".join(f"{key}: {draft.text[a:b]}" for key, (a, b) in by_key.items()),
        ),
        form("Note", sentence=one_of(by_key), note=text(8, 160)),
        item=draft.id,
        stage="observation",
        at_least=min(3, len(spans)),
        at_most=min(MOST_NOTES, len(spans)),
        temperature=0.4,
        max_tokens=600,
    )
    notes: list[Any] = _one_note_per_sentence(answers.items)
    incidents = tuple(
        Incident(
            id=f"{draft.id}.n{number}",
            source="draft",
            doc_id=draft.id,
            span=by_key[note.sentence],
            text=draft.text[slice(*by_key[note.sentence])],
            note=note.note,
        )
        for number, note in enumerate(notes, 1)
    )
    return Answers(incidents, answers.dropped)


def _one_note_per_sentence(notes: tuple[Any, ...]) -> list[Any]:
    first: dict[str, Any] = {}
    for note in notes:
        first.setdefault(note.sentence, note)
    return list(first.values())
