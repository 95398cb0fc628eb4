"""Roles that say what a test tells them to, embeddings placed by hand, and short values."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import (
    LEVELS,
    TIER_WEIGHT,
    Category,
    Code,
    Coding,
    Criterion,
    Incident,
    Property,
    WritingTask,
)
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat


class Placed(Embeddings):
    """Gives each text the vector that a function places it at."""

    def __init__(self, place: Callable[[str], Sequence[float]]) -> None:
        self.place = place

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(self.place(text)) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return list(self.place(text))


@pytest.fixture
def requests() -> list[ChatRequest]:
    """What the roles of this test were asked, in order."""
    return []


@pytest.fixture
def role_of(requests: list[ChatRequest]) -> Callable[..., Role]:
    """Make a role that answers by a function of the request, a text or a JSON value."""

    def make(
        answer: Any,
        *,
        chooses: bool = False,
        name: str = "coder",
        seed: int = 0,
        budget: Budget | None = None,
    ) -> Role:
        def reply(request: ChatRequest) -> str:
            requests.append(request)
            content = answer(request) if callable(answer) else answer
            return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)

        model = ScriptedChat(reply=reply, items_per_call=1 if chooses else 8)
        return Role(name, model, seed=seed, budget=budget or Budget())

    return make


@pytest.fixture
def role_saying(role_of: Callable[..., Role], requests: list[ChatRequest]) -> Callable[..., Role]:
    """Make a role that says its lines in order, and the last one for ever."""

    def make(*lines: Any, **options: Any) -> Role:
        return role_of(lambda _: lines[min(len(requests), len(lines)) - 1], **options)

    return make


@pytest.fixture(scope="session")
def placed() -> Callable[..., Embeddings]:
    """Make embeddings of a function from text to vector."""
    return Placed


@pytest.fixture(scope="session")
def turned() -> Callable[[float], tuple[float, float]]:
    """Make the unit vector whose cosine with (1, 0) is the given one."""
    return lambda cosine: (cosine, math.sqrt(1 - cosine * cosine))


@pytest.fixture(scope="session")
def task() -> WritingTask:
    return WritingTask(
        request="Write a story about a lighthouse keeper. Do not use dialogue.",
        language="en",
        genre="story",
    )


@pytest.fixture(scope="session")
def incident() -> Callable[..., Incident]:
    """Make a clause of the request, or a note on a draft."""

    def make(incident_id: str, text: str = "about a lighthouse keeper", **fields: Any) -> Incident:
        noted = "n" in incident_id
        defaults = {
            "source": "draft" if noted else "request",
            "doc_id": incident_id.split(".")[0] if noted else "request",
            "span": (0, len(text)),
            "note": "It makes the reader wait." if noted else None,
        }
        return Incident(id=incident_id, text=text, **{**defaults, **fields})

    return make


@pytest.fixture(scope="session")
def code() -> Callable[..., Code]:
    def make(code_id: str, label: str | None = None, **fields: Any) -> Code:
        defaults = {"evidence": ("i1",), "coder": "reader", "confidence": 3}
        named = label or f"Quality {code_id}"
        return Code(id=code_id, label=named, gloss=f"It shows {named}.", **{**defaults, **fields})

    return make


@pytest.fixture(scope="session")
def coding() -> Callable[..., Coding]:
    def make(label: str, *evidence: str, **fields: Any) -> Coding:
        defaults: dict[str, Any] = {"coder": "editor", "confidence": 3}
        seen_in = evidence or ("i1",)
        return Coding(
            label=label, gloss=f"It shows {label}.", evidence=seen_in, **(defaults | fields)
        )

    return make


@pytest.fixture(scope="session")
def dimension() -> Callable[[str], Property]:
    def make(name: str) -> Property:
        return Property(name=name, low_pole=f"lacks {name}", high_pole=f"is full of {name}")

    return make


@pytest.fixture(scope="session")
def category(dimension: Callable[[str], Property]) -> Callable[..., Category]:
    def make(
        category_id: str, code_ids: Sequence[str] = ("c1",), properties: Sequence[str] = ("depth",)
    ) -> Category:
        return Category(
            id=category_id,
            name=f"Aspect {category_id}",
            definition=f"What {category_id} is about.",
            code_ids=tuple(code_ids),
            properties=tuple(dimension(name) for name in properties),
        )

    return make


@pytest.fixture(scope="session")
def criterion() -> Callable[..., Criterion]:
    def make(criterion_id: str = "k1.0", **fields: Any) -> Criterion:
        defaults: dict[str, Any] = {
            "name": f"Name of {criterion_id}",
            "description": "The text shows the keeper at work.",
            "kind": "soft",
            "tier": "essential",
            "levels": {band: f"What level {band} does." for band in LEVELS},
            "category_id": "k1",
            "evidence": ("i1",),
        }
        defaults |= fields
        return Criterion(id=criterion_id, weight=TIER_WEIGHT[defaults["tier"]], **defaults)

    return make
