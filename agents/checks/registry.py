"""Parts by name: ours by their place, those of other packages by an entry-point group."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from quillgraph.backends.errors import ConfigError, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Finds a part by its name and imports it on first use.

    A name of ours is never taken by another package.
    """

    what: str
    """What a part is, for messages: "check", "language"."""
    group: str
    """Entry-point group by which other packages offer theirs."""
    built_in: Mapping[str, str]
    """Name to `module:attribute`."""
    name_of: Callable[[Any], str | None]
    """The name that a part has by itself; None for what is no such part."""
    _loaded: dict[str, T] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def foreign(self) -> Mapping[str, EntryPoint]:
        """What other installed packages offer; nothing of it is imported."""
        points = entry_points(group=self.group)
        return {point.name: point for point in points if point.name not in self.built_in}

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self.foreign

    def __contains__(self, name: str) -> bool:
        return name in self.built_in or name in self.foreign

    def load(self, name: str) -> T:
        """Import the part of a name; the second call gives the same one.

        Raises:
            ConfigError: If no installed package has such a part, or if it cannot be imported.
        """
        if name not in self._loaded:
            self._loaded[name] = self._imported(name)
        return self._loaded[name]

    def _imported(self, name: str) -> T:
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            part: T = getattr(importlib.import_module(module), attribute)
            return part
        if name not in self.foreign:
            raise ConfigError(
                f"unknown {self.what} {name!r}: {nearest(name, self)}; one of another package is "
                f"found by the entry-point group {self.group!r} once that package is installed"
            )
        return self._foreign(self.foreign[name])

    def _foreign(self, point: EntryPoint) -> T:
        package = point.dist.name if point.dist else "an installed package"
        try:
            part: Any = point.load()
        # code of others may raise anything at import: the error names whose it is
        except Exception as error:
            raise ConfigError(
                f"{self.what} {point.name!r} of {package} cannot be loaded from {point.value}: "
                f"{type(error).__name__}: {error}; mend or remove that package"
            ) from error
        if self.name_of(part) != point.name:
            raise ConfigError(
                f"expected a {self.what} named {point.name!r} at {point.value}, got "
                f"{self.name_of(part) or part!r}; mend the entry point of {package}"
            )
        loaded: T = part
        return loaded
