"""The open coders: three identities name what each incident asks for or does."""

from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from quillgraph.agents.domain import Code, Coding, Incident, WritingTask
from quillgraph.agents.lenses.choice import choose_coding
from quillgraph.agents.lenses.lens import IDENTITIES, near
from quillgraph.agents.memory.known_criteria import Suggestion, prompt_lines
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, some_of, text, whole_number
from quillgraph.agents.role import Answers, Role, ask_each, lost_reply
from quillgraph.backends.errors import ReplyError

MOST_CODES = 20
"""Most codings of one call."""


async def open_code(
    task: WritingTask,
    incidents: Sequence[Incident],
    codes: Sequence[Code],
    identity: str,
    role: Role,
    embeddings: Embeddings,
    suggestions: Sequence[Suggestion] = (),
) -> Answers[Coding]:
    """Code the incidents as one of the `IDENTITIES`.

    Args:
        task: The request under study.
        incidents: The incidents to code in this call.
        codes: The nearest existing codes; for each new coding the coder names one that means the
            same, or none.
        identity: Key of `IDENTITIES`.
        role: The coder.
        embeddings: Embeddings to find the sensitizing concepts near the incidents.
        suggestions: Criteria of other requests to compare with; not for a role that chooses.
    """
    if role.chooses:
        return await _choose(task, incidents, identity, role, embeddings)
    passages = "\n".join(incident_text(incident) for incident in incidents)
    lenses = await near(passages, identity, task.language, embeddings)
    messages = render(
        "open_coding",
        request=role.brief(task),
        identity=IDENTITIES[identity],
        codes="\n".join(f"{code.id}: {code.label}" for code in codes) or "none",
        lenses=", ".join(lens.name for lens in lenses),
        passages=passages,
        suggestions=prompt_lines(suggestions),
    )
    several = len(incidents) > 1
    answers = await ask_each(
        role,
        messages,
        _coding_form([incident.id for incident in incidents], [code.id for code in codes]),
        item=f"{identity}/{'+'.join(incident.id for incident in incidents)}",
        stage="open coding",
        at_most=MOST_CODES if several else 1,
        temperature=0.5,
        max_tokens=2000 if several else 160,
    )
    return Answers(tuple(_coding(entry, identity) for entry in answers.items), answers.dropped)


async def _choose(
    task: WritingTask,
    incidents: Sequence[Incident],
    identity: str,
    role: Role,
    embeddings: Embeddings,
) -> Answers[Coding]:
    try:
        choices = [
            await choose_coding(task, incident, identity, role, embeddings)
            for incident in incidents
        ]
    except ReplyError as error:
        return Answers((), (lost_reply("open coding", role, error),))
    return Answers(tuple(choices))


def incident_text(incident: Incident) -> str:
    """An incident as a prompt shows it: its words, and a reader's note on them."""
    if incident.note is None:
        return f"{incident.id}: {incident.text}"
    return f'{incident.id}: "{incident.text}" (a reader notes: {incident.note})'


def _coding_form(incident_ids: list[str], code_ids: list[str]) -> type[BaseModel]:
    return form(
        "Coding",
        label=text(4, 60),
        gloss=text(8, 160),
        evidence=some_of(incident_ids),
        near=one_of(["new", *code_ids]),
        confidence=whole_number(1, 5),
    )


def _coding(entry: Any, identity: str) -> Coding:
    return Coding(
        label=" ".join(entry.label.split()[:7]).strip(" .,:;"),
        gloss=entry.gloss.strip(),
        evidence=tuple(dict.fromkeys(entry.evidence)),
        coder=identity,
        confidence=entry.confidence,
        near=None if entry.near == "new" else entry.near,
    )
