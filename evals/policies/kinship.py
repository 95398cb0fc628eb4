"""How a judge is related to the policies: reservations about a comparison."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from quillgraph.agents.domain import WritingTask
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.spec import BackendSpec, backend_class
from quillgraph.backends.weights import installed
from quillgraph.evals.policies.policy import Policy


def identity(spec: str | BackendSpec) -> str:
    """Name that identifies a model, independent of its engine and options.

    The same weights in two folders, or behind two names, are not recognised.
    """
    try:
        parsed = BackendSpec.parse(spec) if isinstance(spec, str) else spec
    except ConfigError:
        return str(spec)  # a judge that is no backend
    built_in = {each.name: str(each.path) for each in installed()}
    model = built_in.get(parsed.model, parsed.model)
    model = backend_class(parsed.kind).spec_identity(model, parsed.options)
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.exists() else model


def known_model(name: str) -> str:
    """Name or folder of a model, as `identity` gives that of a backend's."""
    built_in = {each.name: str(each.path) for each in installed()}
    model = built_in.get(name, name)
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.exists() else model


def trained_by(policies: Sequence[Policy], judge: str) -> tuple[Policy, ...]:
    """The policies that were rewarded by the verdicts of a judge."""
    judge_model = identity(judge)
    return tuple(
        each
        for each in policies
        if each.training and each.training.judge and identity(each.training.judge) == judge_model
    )


def refuse_training_judge(policies: Sequence[Policy], judge: str) -> None:
    """Refuse a judge that has trained one of the policies.

    Raises:
        ConfigError: Naming the policy and its training.
    """
    for each in trained_by(policies, judge):
        assert each.training is not None
        raise ConfigError(
            f"{judge} has trained policy {each.name} ({each.training.folder}): a policy that has "
            "learned to please a judge pleases it, whether it writes better or not. Name another "
            "one with --judge, or say --allow-same-judge"
        )


def reservations(policies: Sequence[Policy], judge: str) -> Iterator[str]:
    """Reasons to doubt the judge on these policies."""
    judge_model = identity(judge)
    for each in policies:
        if identity(each.model) == judge_model:
            what = "the base of" if each.adapter else "the same model as"
            yield f"The judge is {what} policy {each.name}: models prefer what they would write."
    for each in trained_by(policies, judge):
        yield (
            f"The judge has trained policy {each.name}: its gains may be nothing but what it has "
            "learned of this judge."
        )
    for each in policies:
        training = each.training
        if each.adapter and training is None:
            yield (
                f"No record of the training of policy {each.name} lies above {each.adapter}, or "
                "none that is of this adapter: whether the judge has trained it is not known."
            )
        if each.adapter and training and identity(each.model) != known_model(training.base):
            yield (
                f"The adapter of policy {each.name} was trained on {training.base!r}, and is laid "
                f"on {each.model.model!r} here."
            )
        if training and training.guard and identity(training.guard) == judge_model:
            yield f"The judge has watched over the training of policy {each.name}."
        if training and training.functions:
            yield (
                f"Policy {each.name} was also rewarded by {', '.join(training.functions)}; whom "
                "they ask is not known."
            )


def seen_in_training(
    policy: Policy, tasks: Sequence[WritingTask], requests: Sequence[str] | None
) -> str:
    """Say on how many of the prompts a policy was trained; empty if on none.

    Args:
        policy: A policy whose training is known.
        tasks: The prompts of the evaluation.
        requests: Hashes of the requests that it was trained on; None where they cannot be read.
    """
    if requests is None:
        return (
            f"The requests that policy {policy.name} was trained on cannot be read any more, so it "
            "is not known whether the prompts are among them."
        )
    seen = len({task.request_hash for task in tasks} & set(requests))
    if not seen:
        return ""
    return f"Policy {policy.name} was trained on {seen} of the {len(tasks)} prompts."
