"""What TRL has just generated and scored, read as groups of texts with rewards."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from quillgraph.agents.judgements import Judgement
from quillgraph.backends.errors import InputError
from quillgraph.rl.planning import Fresh, key_of

JUDGEMENT = "judgement"
"""Column under which a reward function logs what was found of each text, by TRL's `log_extra`: the
JSON of a `Judgement`, or None. Gate and rubric dropout read it; TRL's own trainer shows it."""

CRITERIA_SHA = "criteria_sha"
"""Column of the dataset: hash of the criteria that the rewards of a prompt are made with."""

EXCLUDED = "excluded"
"""Column that a rollout function returns: why a rollout has no text, None where it has one."""

RIDERS = "riders"
"""Column that a rollout function returns: the further trainable `Row`s of each episode."""


def fresh_texts(
    logs: Mapping[str, Any],
    weights: Mapping[str, float],
    marks: Sequence[tuple[str, str | None, int]],
) -> list[Fresh]:
    """Read the texts of all processes, in the order of their groups.

    Args:
        logs: TRL's tables of the latest generation: `prompt`, `completion`, `rewards`, `extra`.
        weights: Weight of each reward function by name.
        marks: Of each text its criteria hash, why it is excluded, and its count of tokens.

    Raises:
        InputError: If a judgement is not one.
    """
    count = len(marks)
    prompts, completions = (_latest(logs[name], count) for name in ("prompt", "completion"))
    columns = {name: _latest(logs["rewards"][name], count) for name in weights}
    found = _latest(logs["extra"].get(JUDGEMENT, [None] * count), count)
    return [
        Fresh(
            prompt=key_of(prompts[number]),
            criteria_sha=sha,
            text=text_of(completions[number]),
            tokens=tokens,
            reward=None
            if excluded is not None
            else total({name: column[number] for name, column in columns.items()}, weights),
            judgement=_judgement(found[number]),
        )
        for number, (sha, excluded, tokens) in enumerate(marks)
    ]


def total(rewards: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """Weigh the rewards of one text together, as TRL does: one that is not there adds nothing.

    Returns:
        The sum; None where no function gave a reward.
    """
    known = {name: value for name, value in rewards.items() if not math.isnan(value)}
    if not known:
        return None
    return math.fsum(weights[name] * value for name, value in known.items())


def text_of(completion: Any) -> str:
    """The text of a completion, plain or conversational."""
    return completion if isinstance(completion, str) else str(completion[0]["content"])


def _latest(values: Any, count: int) -> list[Any]:
    return list(values)[-count:]


def _judgement(logged: Any) -> Judgement | None:
    if logged is None or isinstance(logged, Judgement):
        return logged
    try:
        return Judgement.model_validate_json(logged)
    except ValueError as error:
        raise InputError(
            f"expected the JSON of a Judgement in the column {JUDGEMENT!r}, got "
            f"{str(logged)[:80]!r}: log judgement.model_dump_json()"
        ) from error
