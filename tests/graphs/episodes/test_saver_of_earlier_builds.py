"""Values of checkpoints find their classes again, wherever these have moved."""

from datetime import date
from typing import Any

import ormsgpack
import pytest
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer
from langgraph.types import Send

from quillgraph.agents.judges.prompted import JudgeReply
from quillgraph.agents.requests import writing_task
from quillgraph.agents.writers import Reflection
from quillgraph.backends.errors import StorageError
from quillgraph.graphs.episodes.saver import MovingSerializer

MOVED = JsonPlusSerializer(allowed_msgpack_modules=True)
READ = MovingSerializer(allowed_msgpack_modules=True)


def old(module: str, name: str, fields: dict[str, Any]) -> ormsgpack.Ext:
    """A value as a checkpoint holds it."""
    parts = (module, name, fields, "model_validate_json")
    return ormsgpack.Ext(EXT_PYDANTIC_V2, ormsgpack.packb(parts))


def test_a_value_is_read_as_of_the_class_that_has_moved_also_within_others() -> None:
    reflection = Reflection(
        criterion_id="c1", criterion="Restraint", quote=None, cause="All is said.", fix="Say less."
    )
    ext = old("quillgraph.agents.reflecting", "Reflection", reflection.model_dump())
    kind, packed = "msgpack", ormsgpack.packb({"a": [ext, 3], "b": None})
    assert READ.loads_typed((kind, packed)) == {"a": [reflection, 3], "b": None}


def test_a_class_that_has_another_name_now_is_found_by_it() -> None:
    fields: dict[str, Any] = {
        "criterion_id": "c1",
        "score": 5.0,
        "evidence": None,
        "reason": "It holds back.",
    }
    ext = old("quillgraph.agents.judging", "Vote", fields)
    assert READ.loads_typed(("msgpack", ormsgpack.packb(ext))) == JudgeReply(**fields)


@pytest.mark.parametrize(
    "value",
    [
        writing_task("Fog."),
        {1: [None], "when": date(2026, 11, 30), "to": Send("node", {"n": [1, 2]})},
        b"quillgraph.agents.reflecting",
        {"words": "quillgraph.agents.reflecting", "dates": [date(2026, 1, 2)], 3: {4, 5}},
    ],
)
def test_all_else_is_read_as_langgraph_reads_it(value: Any) -> None:
    packed = MOVED.dumps_typed(value)
    assert READ.loads_typed(packed) == MOVED.loads_typed(packed) == value


def test_a_class_that_is_nowhere_is_refused_and_not_read_as_a_dict() -> None:
    ext = old("quillgraph.agents.reflecting", "Refraction", {"text": "so"})
    with pytest.raises(StorageError, match=r"a quillgraph\.agents\.reflecting\.Refraction of an"):
        READ.loads_typed(("msgpack", ormsgpack.packb([ext])))
