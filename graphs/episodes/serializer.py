"""Reads the values of checkpoints, those of earlier builds too.

A checkpoint names the module and the class of each value. LangGraph makes a plain dict of a value
whose class it does not find, without an error, and the next node then fails over it.
"""

import importlib
import re
from collections.abc import Sequence
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from quillgraph.backends.errors import StorageError
from quillgraph.moved import ROOT, moves

OPTION = ormsgpack.OPT_NON_STR_KEYS

_NAMES = re.compile(rb"quillgraph\.[a-z_.]+")
"""A string of msgpack has its length before it and nothing of its own behind it: what follows a
module's name is the head of the next string, which is no letter of these."""


class MovingSerializer(JsonPlusSerializer):
    """LangGraph's serializer, which also knows our classes by the places that they once had."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value.

        Raises:
            StorageError: If it is of a class of ours that is nowhere now.
        """
        kind, packed = data
        if kind == "msgpack" and _is_old(packed):
            packed = _renewed(packed)
        return super().loads_typed((kind, packed))


def _is_old(packed: bytes) -> bool:
    return any(name.decode() in moves() for name in _NAMES.findall(packed))


def _renewed(packed: bytes) -> bytes:
    """Put the places that classes have now into a value, and into all that lie within it."""
    lost: list[str] = []

    def renew(code: int, data: bytes) -> ormsgpack.Ext:
        parts = ormsgpack.unpackb(data, ext_hook=renew, option=OPTION)
        if _names_a_class(parts):
            module, name, *rest = parts
            place = _place(module, name)
            if place is None:  # to raise here would be to lose the message in ormsgpack
                lost.append(f"{module}.{name}")
            parts = [*(place or (module, name)), *rest]
        return ormsgpack.Ext(code, ormsgpack.packb(parts, option=OPTION))

    value = ormsgpack.unpackb(packed, ext_hook=renew, option=OPTION)
    if lost:
        raise StorageError(
            f"the checkpoint holds a {lost[0]} of an earlier build, which this one does not have: "
            "let the build that began the run end it, or begin the run anew"
        )
    return ormsgpack.packb(value, option=OPTION)


def _names_a_class(parts: Any) -> bool:
    return (
        isinstance(parts, Sequence)
        and len(parts) > 2
        and isinstance(parts[0], str)
        and parts[0].startswith(f"{ROOT}.")
    )


def _place(module: str, name: str) -> tuple[str, str] | None:
    """Module and name that a class has now; None if it is nowhere."""
    move = moves().get(module)
    place, new = move.place(name) if move else (module, name)
    try:
        return (place, new) if hasattr(importlib.import_module(place), new) else None
    except ModuleNotFoundError:
        return None
