"""Connects the models that the settings of a run name, and informs the user about them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console

from quillgraph.backends import Budget, CassetteChat
from quillgraph.backends.runtime import default_backend
from quillgraph.cli.session.progress import log_shown
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import Graph
from quillgraph.graphs.supervision import (
    JUDGES,
    Engines,
    common_plays,
    connect_engines,
    node_allowances,
    recorded,
)

DECIDING = {"seed", "drafts", "draft_tokens", "rounds", "text_tokens", "samples"}
"""Settings that decide which calls a run makes."""


def budget_of(settings: Settings, graphs: Sequence[Graph]) -> Budget:
    """What a run of these graphs may spend, in all and in each node.

    Raises:
        ConfigError: On an amount that is none, or a node that no graph has.
    """
    nodes = node_allowances(settings.node_budgets, graphs)
    return Budget(settings.max_calls, settings.max_tokens_total, settings.timeout, nodes)


def recorded_run(settings: Settings, engines: Engines) -> AbstractContextManager[Engines]:
    """Record what the models of a run answer, if the settings name a file for it."""
    return recorded(engines, settings.record, settings.model_dump(include=DECIDING))


def with_backend(
    settings: Settings, console: Console, *, playing: Sequence[str] | None = None
) -> Settings:
    """Choose a backend where the user has named none, and say which and why.

    Args:
        settings: They name the specs.
        console: Where to say it.
        playing: The roles that the command asks; None for all. Where each of them has a spec of
            its own, the backend has no part in the run, and nothing is said of it.
    """
    if settings.backend is not None:
        return settings
    spec, reason = default_backend()
    if common_plays(settings.roles, playing):
        console.print(f"backend {spec}: {reason}", style="dim")
    return settings.model_copy(update={"backend": spec})


def connected(
    settings: Settings,
    names: Sequence[str],
    console: Console,
    *,
    playing: Sequence[str] | None = None,
    judges: Sequence[str] = JUDGES,
) -> Engines:
    """Connect each distinct spec once; starts nothing, but finds out what is misspelt.

    Args:
        settings: They name the specs.
        names: The roles that the run has.
        console: Where to show what is fetched.
        playing: Those of them that are asked; None for all.
        judges: Those of them that a trained scorer can stand for.

    Raises:
        ConfigError: On an unknown role, or a spec that cannot be connected.
    """
    with log_shown(console):
        engines = connect_engines(
            str(settings.backend),
            settings.roles,
            names,
            embeddings=settings.embeddings,
            playing=playing,
            judges=judges,
            record=settings.record,
        )
    if isinstance(engines.common, CassetteChat):
        now = settings.model_dump(include=DECIDING)
        for name, then in engines.common.cassette.facts.items():
            if now.get(name, then) != then:
                console.print(f"note: recorded with {name} {then}, now {now[name]}", style="yellow")
    return engines
