"""Old names of modules and definitions: errors that say the new one, and a table for old files.

The modules of the first builds lay in one flat folder a package. `moved.txt` holds where each of
them stands now. Nothing is imported by an old name: an import that worked by another path would
give a class twice.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import NamedTuple

ROOT = "quillgraph"


class Move(NamedTuple):
    """The new place of a module of the flat layout."""

    module: str
    definitions: Mapping[str, tuple[str, str]]
    """Old name to new module and name, for definitions that were renamed or moved."""

    def place(self, name: str) -> tuple[str, str]:
        """Module and name of a definition now."""
        return self.definitions.get(name, (self.module, name))


@cache
def moves() -> Mapping[str, Move]:
    """Old module to its move."""
    from importlib.resources import files  # here, as `import quillgraph` shall not wait for it

    lines = files(ROOT).joinpath("moved.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {f"{ROOT}.{old}": _move(f"{ROOT}.{new}", renames) for old, new, *renames in rows}


def _move(module: str, renames: Sequence[str]) -> Move:
    places = {}
    for rename in renames:
        old, _, new = rename.partition("=")
        elsewhere, colon, name = new.rpartition(":")
        places[old] = (f"{ROOT}.{elsewhere}" if colon else module, name)
    return Move(module, places)


def advice(module: str) -> str | None:
    """Say where an old module, or one below it, stands now; None if it has not moved."""
    move = moves().get(module)
    if move is None or move.module == module:
        parent, _, name = module.rpartition(".")
        above = moves().get(parent)
        if above is None or above.module == parent:
            return None
        place, new = above.place(name)
        return f"{parent} is {above.module} now: look for {new!r} in {place}"
    renames = [f"{old!r} is {new!r}" for old, (at, new) in move.definitions.items() if old != new]
    elsewhere = [
        f"{new!r} is in {at}" for new, (at, _) in move.definitions.items() if at != move.module
    ]
    return "; ".join([f"{module} is {move.module} now", *renames, *elsewhere])


class MovedFinder:
    """Answers for modules of this package that no other finder has: it says where they are now."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> None:
        """Never find a module.

        Raises:
            ModuleNotFoundError: Naming the new place of a module that has moved.
        """
        if fullname.startswith(f"{ROOT}.") and (place := advice(fullname)):
            # without `name=`: `from package import module` hides an error that names the module
            raise ModuleNotFoundError(place)


def install() -> None:
    """Have old imports answered, after all other finders."""
    if not any(isinstance(each, MovedFinder) for each in sys.meta_path):
        sys.meta_path.append(MovedFinder())
