"""Models that answer every request in the asked form, by a rule of their own."""

import hashlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat

Pick = Callable[[str, int], int]
"""From a place in the study and the number of choices there to the choice."""

ChoosingChat = Callable[..., ScriptedChat]

TEXTS = (
    "You climb the stairs. The lamp is warm! Who hears the gull?",
    "One line without a stop",
    "Rain at the pane\n\nand under it the sea,\n\nslow; slower; asleep",
    "灯塔很旧，灯却很亮。海鸥睡着了！你也闭上眼睛。",
    "It was very nice. It was very nice. It was very nice.",
)
"""Drafts that a model may write."""

WORDS = ("calm", "storm", "lamp", "gull", "stairs", "letter", "plain", "honest", "slow", "bright")


def first(place: str, count: int) -> int:
    return 0


def last(place: str, count: int) -> int:
    return count - 1


def by_hash(seed: int) -> Pick:
    def pick(place: str, count: int) -> int:
        digest = hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) % count

    return pick


@pytest.fixture(scope="session")
def choosing_chat() -> ChoosingChat:
    """Makes models that fill any schema with what they pick; `seed` wins over `pick`."""

    def make(
        pick: Pick = first, *, seed: int | None = None, items_per_call: int = 1
    ) -> ScriptedChat:
        chosen = pick if seed is None else by_hash(seed)
        return ScriptedChat(
            reply=lambda request: _reply(request, chosen), items_per_call=items_per_call
        )

    return make


@pytest.fixture(params=["first", "last", "hash"])
def pick(request: pytest.FixtureRequest) -> Pick:
    """Ways to pick."""
    return {"first": first, "last": last, "hash": by_hash(0)}[request.param]


@pytest.fixture(scope="session")
def long_text() -> str:
    """English of a little more than 64,000 characters, no sentence of which comes twice."""
    who = "The pilot", "My father", "An old sailor", "The boy at the rail", "Nobody else"
    did = "heard", "counted", "remembered", "followed", "lost", "had been waiting for"
    what = "the bell", "every wave", "what the fog had hidden", "his own breath", "the far shore"
    when = "before noon", "in the dark", "that year", "again and again", "with both hands"
    parts = itertools.product(who, did, what, when, ("at sea", "on land"))
    text = " ".join(f"{' '.join(each)}." for each in parts)
    return text[: text.index(".", 64_000) + 1]


def _reply(request: ChatRequest, pick: Pick) -> str:
    if request.json_schema is None:
        return TEXTS[pick(request.sha256, len(TEXTS))]
    value = _filled(request.json_schema, request.json_schema, pick, request.sha256)
    return json.dumps(value, ensure_ascii=False)


def _filled(schema: dict[str, Any], root: dict[str, Any], pick: Pick, place: str) -> Any:
    """Fill a JSON schema of the kinds that pydantic makes of our forms."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _filled(root["$defs"][name], root, pick, place)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][pick(place, len(schema["enum"]))]
    match schema["type"]:
        case "object":
            fields = schema["properties"].items()
            return {key: _filled(kind, root, pick, f"{place}.{key}") for key, kind in fields}
        case "array":
            least, most = schema.get("minItems", 0), schema["maxItems"]
            count = least + pick(f"{place}#", most - least + 1)
            return [_filled(schema["items"], root, pick, f"{place}.{n}") for n in range(count)]
        case "integer":
            low, high = schema["minimum"], schema["maximum"]
            return int(low + pick(place, high - low + 1))
        case "boolean":
            return bool(pick(place, 2))
    words = [WORDS[pick(f"{place}~{n}", len(WORDS))] for n in range(8)]
    return " ".join(words)[: schema["minLength"] + pick(f"{place}~", 12)].ljust(8, "a")
