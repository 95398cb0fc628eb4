"""The sampler: write drafts of different strength, so that criteria have texts to tell apart."""

from dataclasses import dataclass
from typing import Literal

from quillgraph.agents.domain import Draft, WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.replies import reply_text
from quillgraph.agents.role import Role, say

SHORTEST_DRAFT = 20
"""Characters below which a draft is sampled once more (`ALGORITHM.md` appendix A)."""


@dataclass(frozen=True, slots=True)
class Persona:
    """The persona that the sampler writes as."""

    voice: str
    strength: Literal["weak", "strong"]
    temperature: float


PERSONAS = (
    Persona("You are a careful professional author with an ear for detail.", "strong", 0.7),
    Persona("You are a hurried student who writes in clichés and generalities.", "weak", 1.0),
    Persona("You are an inventive writer who takes a surprising angle.", "strong", 0.9),
    Persona("You are a bored copywriter who ignores half of what is asked.", "weak", 1.0),
)
"""Personas in order; at least one weak and two strong ones (`ALGORITHM.md` 6.2 step 3)."""


async def draft_sample(
    task: WritingTask, number: int, role: Role, *, max_tokens: int
) -> Draft | None:
    """Sample one draft; None if two attempts were shorter than `SHORTEST_DRAFT`.

    Args:
        task: The request.
        number: Number of the draft, from 0; the personas take turns by it.
        role: The sampler.
        max_tokens: Most tokens of the draft; its beginning is enough to observe.
    """
    persona = PERSONAS[number % len(PERSONAS)]
    messages = render("sampling", persona=persona.voice, request=role.brief(task))
    for attempt in range(2):
        reply = await say(
            role,
            messages,
            item=f"draft{number}/{attempt}",
            temperature=persona.temperature,
            max_tokens=max_tokens,
        )
        text = reply_text(reply, request=task.request).words.strip()
        if len(text) >= SHORTEST_DRAFT:
            return Draft(id=f"d{number + 1}", text=text, strength=persona.strength)
    return None
