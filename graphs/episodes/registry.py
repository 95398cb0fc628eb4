"""Graphs by name: ours, those of installed packages, and those of a module or file."""

import hashlib
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from quillgraph.backends.errors import ConfigError, QuillError, nearest
from quillgraph.graphs.episodes.outcome import own_line
from quillgraph.graphs.episodes.source import Graph
from quillgraph.moved import advice

_BUILT_IN = {
    "criteria": (
        "quillgraph.graphs.study.workflow:build",
        "the whole Grounded-Theory workflow",
    ),
    "sampling": (
        "quillgraph.graphs.study.theoretical_sampling:build",
        "drafts, and blind notes on them",
    ),
    "open_coding": (
        "quillgraph.graphs.study.open_coding:build",
        "open coding with constant comparison until saturation",
    ),
    "axial_coding": (
        "quillgraph.graphs.study.axial_coding:build",
        "codes into categories with poles and relations",
    ),
    "selective_coding": (
        "quillgraph.graphs.study.selective_coding:build",
        "core category, storyline and tiers",
    ),
    "criteria_writing": (
        "quillgraph.graphs.study.criteria_writing:build",
        "criteria written, tried out and repaired",
    ),
    "judging": (
        "quillgraph.graphs.prebuilt.judge:build",
        "one text: gate, checks, verdicts and reward",
    ),
    "reflection": (
        "quillgraph.graphs.prebuilt.reflection:build",
        "draft, judge, reflect, revise: accepted or rolled back",
    ),
    "best_of_n": (
        "quillgraph.graphs.prebuilt.best_of_n:build",
        "drafts side by side, of which the best is taken",
    ),
    "self_refine": (
        "quillgraph.graphs.prebuilt.self_refine:build",
        "draft, feedback and revision by one model, without criteria",
    ),
    "debate": (
        "quillgraph.graphs.prebuilt.debate:build",
        "two writers, a critic who speaks for each against the other, and a judge",
    ),
    "voting": (
        "quillgraph.graphs.prebuilt.voting:build",
        "drafts side by side, ranked by the votes of three judges",
    ),
}
"""Name to the place that builds the graph, and its purpose."""

PLACES = {name: place for name, (place, _) in _BUILT_IN.items()}
"""Name to `module:attribute`."""

GRAPHS = {name: purpose for name, (_, purpose) in _BUILT_IN.items()}
"""Name to the purpose of the graph."""

GROUP = "quillgraph.graphs"
"""Entry-point group of graphs from other packages."""

_WANTED = "expected a StateGraph, a compiled one, or a function without arguments that makes one"


@cache
def foreign() -> Mapping[str, EntryPoint]:
    """Entry points of the graphs in other installed packages; imports none of them."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in GRAPHS}


def build(name: str) -> Graph:
    """Build a graph by its name.

    Args:
        name: A name in `GRAPHS` or of an installed package, or the place of a graph:
            `module:attribute` or `path/to/file.py:attribute`.

    Raises:
        ConfigError: If there is no such name or place, or it holds no graph.
    """
    if name in GRAPHS:
        module, _, attribute = PLACES[name].partition(":")
        return _made(getattr(importlib.import_module(module), attribute), name)
    if name in foreign():
        return _made(_loaded(foreign()[name]), name)
    if ":" not in name:
        known = nearest(name, {**GRAPHS, **foreign()})
        raise ConfigError(
            f"unknown graph {name!r}: {known}; or say where yours is: module:attribute or "
            "file.py:attribute"
        )
    return _made(attribute_at(name, "graph"), name)


def attribute_at(name: str, what: str) -> Any:
    """Import what a configuration names.

    Args:
        name: `module:attribute`, importable from the present folder, or
            `path/to/file.py:attribute`.
        what: Its purpose, for messages.

    Raises:
        ConfigError: If it does not exist, or its module cannot be imported.
    """
    place, _, attribute = name.rpartition(":")
    module = _file(Path(place)) if place.endswith(".py") else _module(place, f"{what} {name!r}")
    if not hasattr(module, attribute):
        public = [each for each in vars(module) if not each.startswith("_")]
        hint = advice(f"{place}.{attribute}") or nearest(attribute, public)
        raise ConfigError(f"no {attribute!r} in {place}: {hint}")
    return getattr(module, attribute)


def lasting(name: str) -> str:
    """A graph's name for storage: the path of a file is made absolute."""
    place, colon, attribute = name.rpartition(":")
    return f"{Path(place).resolve()}{colon}{attribute}" if place.endswith(".py") else name


def _made(graph: Any, name: str) -> Graph:
    if not isinstance(graph, StateGraph | Pregel) and callable(graph):
        with _error_with_line(f"calling {name}"):
            try:
                graph = graph()
            except TypeError as error:
                raise ConfigError(
                    f"{_WANTED}, but calling {name} fails: {error}{own_line(error)}"
                ) from error
    if not isinstance(graph, StateGraph | Pregel):
        raise ConfigError(f"{_WANTED}, got {type(graph).__name__} from {name}")
    return graph


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "its package"
        raise ConfigError(
            f"graph {point.name!r} of {package} cannot be loaded from {point.value}: {error}"
        ) from error


def _module(place: str, name: str) -> Any:
    _findable(Path.cwd())
    with _error_with_line(f"importing {place} for {name}"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if hint := advice(place):
                raise ConfigError(f"no module for {name}: {hint}") from error
            if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                raise ConfigError(
                    f"{name} needs a module that is missing: {error}{own_line(error)}"
                ) from error
            raise ConfigError(
                f"no module {place!r} for {name}; expected module:attribute that can be "
                "imported from here, or file.py:attribute"
            ) from error


def _file(path: Path) -> Any:
    """Import a file under a stable name, so that checkpoints can find its types later."""
    if not path.is_file():
        raise ConfigError(f"no file {path}; expected file.py:attribute")
    _findable(path.resolve().parent)
    name = _module_name(path.resolve())
    module_spec = spec_from_file_location(name, path.resolve())
    assert module_spec is not None
    assert module_spec.loader is not None
    module = module_from_spec(module_spec)
    before = sys.modules.get(name)  # the same file, loaded earlier
    sys.modules[name] = module
    try:
        with _error_with_line(f"importing {path}"):
            module_spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


@contextmanager
def _error_with_line(doing: str) -> Iterator[None]:
    """Report errors of foreign code with their line; our own errors pass unchanged."""
    try:
        yield
    except QuillError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}{own_line(error)}"
        raise ConfigError(f"{doing} fails: {message}") from error


def _module_name(path: Path) -> str:
    """The stem of a file, or a name with a hash of its path where the stem names another module.

    A user's `queue.py` must not replace Python's own, nor one folder's `graph.py` another's.
    """
    invalidate_caches()  # the file may be newer than the import system's cache of its folder
    digest = hashlib.sha256(str(path).encode()).hexdigest()
    own = "_".join((re.sub(r"\W", "_", path.stem), digest[:8]))
    if "." in path.stem:  # the dot would make it a module of a package
        return own
    if (module := sys.modules.get(path.stem)) is not None:
        place = getattr(module, "__file__", None)
    else:
        spec = find_spec(path.stem)
        place = str(path) if spec is None else spec.origin
    return path.stem if place is not None and Path(place).resolve() == path else own


def _findable(folder: Path) -> None:
    # at the end: a folder must not hide an installed package of the same name
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
