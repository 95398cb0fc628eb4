"""Connects the models of a run's settings, and tells the user about them."""

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
    """Budget of a run of these graphs, in total and for each node.

    Raises:
        ConfigError: On an invalid amount, or a node that no graph has.
    """
    nodes = node_allowances(settings.node_budgets, graphs)
    return Budget(settings.max_calls, settings.max_tokens_total, settings.timeout, nodes)


def recorded_run(settings: Settings, engines: Engines) -> AbstractContextManager[Engines]:
    """Record the models' replies, if the settings name a cassette file."""
    return recorded(engines, settings.record, settings.model_dump(include=DECIDING))


def with_backend(
    settings: Settings, console: Console, *, playing: Sequence[str] | None = None
) -> Settings:
    """Choose a backend if the user has named none, and print which and why.

    Args:
        settings: Hold the specs.
        console: Where to print it.
        playing: The roles that the command uses; None for all. If each has its own spec, the
            backend takes no part in the run and nothing is printed.
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
    """Connect each distinct spec once; starts no engine, but reports misspelt specs.

    Args:
        settings: Hold the specs.
        names: The roles of the run.
        console: Where to show downloads.
        playing: The roles that are used; None for all.
        judges: The roles that a trained scorer can play.

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
