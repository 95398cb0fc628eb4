"""Reads policies: a model, an adapter, the result of a training run, or a graph on one of these."""

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from pydantic import Field

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.runtime import default_backend
from quillgraph.backends.spec import BackendSpec, backend_class, backend_kinds
from quillgraph.backends.weights import rank_for
from quillgraph.evals.policies.training_record import (
    ADAPTER,
    TrainingRecord,
    policy_folder,
    read_training,
    stranger_base,
    training_above,
)

BASELINES = ("best_of_n", "self_refine")
"""Graphs that spend a number of tokens: the baselines at equal tokens."""

_NAMED = re.compile(r"(\w+)=(.+)", re.DOTALL)

_WANTED = (
    "expected a policy as KIND:MODEL, KIND:MODEL+ADAPTER, the folder of a training run, or GRAPH@ "
    "and one of these"
)


class Policy(Value):
    """Something that writes."""

    name: str
    """Name in tables and requirements."""
    spec: str
    """The spec as the user wrote it."""
    model: BackendSpec
    adapter: Path | None = None
    training: TrainingRecord | None = None
    """Record of the training, if it is known."""
    graph: str | None = None
    """Name of the graph that runs the model; None if the model is called directly."""
    options: Mapping[str, int | str] = Field(default_factory=dict)
    """Parts of the graph's input, and measures such as `rounds`."""
    at_equal_tokens: bool = False
    """Whether it may spend as much on a text as the most expensive other policy."""


def read_policies(specs: Sequence[str], *, baselines: bool = False) -> tuple[Policy, ...]:
    """Read the policies of a comparison; the first is what the others are compared with.

    Args:
        specs: `[NAME=][GRAPH[?option=value]@]MODEL`, where MODEL is `KIND:MODEL`,
            `KIND:MODEL+ADAPTER` or the folder of a training run. Without names they are A, B, C …
        baselines: Add the `BASELINES` on the first one's model.

    Raises:
        ConfigError: If one is no policy, a name comes twice, or there is none.
        InputError: If the record of a training is damaged.
    """
    if not specs:
        raise ConfigError(f"{_WANTED}, got none")
    if len(specs) > len(string.ascii_uppercase):
        raise ConfigError(f"expected at most {len(string.ascii_uppercase)} policies")
    policies = [_policy(*_named(spec, string.ascii_uppercase[n])) for n, spec in enumerate(specs)]
    if baselines:
        policies += [_baseline(graph, policies[0]) for graph in BASELINES]
    names = [each.name for each in policies]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"expected names of their own, got {twice[0]!r} twice")
    return tuple(_with_ranks(policies))


def _named(spec: str, name: str) -> tuple[str, str]:
    parts = _NAMED.fullmatch(spec)
    return (parts[1], parts[2]) if parts else (name, spec)


def _policy(name: str, spec: str) -> Policy:
    graph, model = _parted(spec)
    named, _, query = graph.partition("?")
    return Policy(
        name=name,
        spec=spec,
        graph=named or None,
        options=_options(query, spec),
        **_weights(model),
    )


def _baseline(graph: str, of: Policy) -> Policy:
    model = _parted(of.spec)[1]
    changes = {
        "name": graph,
        "spec": f"{graph}@{model}",
        "graph": graph,
        "options": {},
        "at_equal_tokens": True,
    }
    return of.model_copy(update=changes)


def _parted(spec: str) -> tuple[str, str]:
    """The graph, empty for none, and the model: an `@` within a model's spec is its address."""
    if _is_model(spec) or Path(spec).exists() or "@" not in spec:
        return "", spec
    graph, _, model = spec.partition("@")
    if not graph:
        raise ConfigError(f"{_WANTED}, got {spec!r}")
    return graph, model


def _is_model(spec: str) -> bool:
    kind, colon, _ = spec.partition(":")
    return bool(colon) and kind in backend_kinds()


def _options(query: str, spec: str) -> dict[str, int | str]:
    try:
        pairs = parse_qsl(query, True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConfigError(f"expected GRAPH?option=value&option=value@…, got {spec!r}") from error
    return {name: int(value) if value.isdecimal() else value for name, value in pairs}


def _weights(spec: str) -> dict[str, Any]:
    """Model, adapter and training, from `KIND:MODEL[+ADAPTER]` or the folder of a run."""
    if not _is_model(spec):
        return _of_run(Path(spec).expanduser(), spec)
    base, plus, adapter = spec.partition("+")
    if not plus or not backend_class(base.partition(":")[0]).takes_adapters:
        return {"model": BackendSpec.parse(spec)}
    folder = policy_folder(Path(adapter).expanduser())
    if not (folder / ADAPTER).is_file():
        raise ConfigError(
            f"expected an adapter in {folder}, got a whole model; name it as "
            f"{base.partition(':')[0]}:{folder}"
        )
    return {
        "model": BackendSpec.parse(base),
        "adapter": folder,
        "training": training_above(folder),
    }


def _of_run(folder: Path, spec: str) -> dict[str, Any]:
    if not folder.is_dir():
        kind = spec.partition(":")[0]
        guess = f": {nearest(kind, backend_kinds())}" if ":" in spec else ""
        raise ConfigError(f"{_WANTED}, got {spec!r}{guess}")
    training = read_training(folder)
    if training is None:
        raise ConfigError(
            f"{folder} is not the folder of a training run, so it is not known which model it "
            f"belongs to; name the model: KIND:MODEL+{folder}"
        )
    weights, kind = policy_folder(folder), default_backend()[0].partition(":")[0]
    if (weights / ADAPTER).is_file():
        if (base := stranger_base(weights, training)) is not None:
            raise ConfigError(
                f"the adapter in {weights} is not the run's: it was trained on {base!r}, and the "
                f"run on {training.base!r}; name both, as KIND:MODEL+{weights}"
            )
        model = BackendSpec(kind=kind, model=training.base)
        return {"model": model, "adapter": weights, "training": training}
    return {"model": BackendSpec(kind=kind, model=str(weights)), "training": training}


def _with_ranks(policies: Sequence[Policy]) -> list[Policy]:
    """Let policies on one model share an engine that takes the adapters of all of them."""
    ranks: dict[str, int] = {}
    for each in policies:
        if each.adapter and rank_option(each.model) and not each.model.base_url:
            key = each.model.model_dump_json()
            ranks[key] = max(ranks.get(key, 1), rank_for(each.adapter))
    return [_ranked(each, ranks.get(each.model.model_dump_json())) for each in policies]


def rank_option(spec: BackendSpec) -> str | None:
    """The option by which a model's engine is started for adapters up to a rank."""
    return backend_class(spec.kind).rank_option


def _ranked(policy: Policy, rank: int | None) -> Policy:
    option = rank_option(policy.model)
    if rank is None or option is None or option in policy.model.options:
        return policy
    options = {**policy.model.options, option: str(rank)}
    return policy.model_copy(update={"model": policy.model.model_copy(update={"options": options})})
