"""TRL's latest generation, read as texts with rewards."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quillgraph.agents.judgements import Judgement
from quillgraph.backends.errors import InputError
from quillgraph.rl.columns import JUDGEMENT, key_of
from quillgraph.rl.mrpo.plan import CountFn, Fresh
from quillgraph.rl.mrpo.replay import Entry


def fresh_texts(
    logs: Mapping[str, Any],
    weights: Mapping[str, float],
    marks: Sequence[tuple[str, str | None, int, str]],
) -> list[Fresh]:
    """Read the texts of all processes, in the order of their groups.

    Args:
        logs: TRL's tables of the latest generation: `prompt`, `rewards`, `extra`.
        weights: Weight of each reward function by name.
        marks: Per text, its criteria hash, why it is excluded, its number of tokens, and the text
            that gets the reward.

    Raises:
        InputError: If a logged judgement cannot be parsed.
    """
    count = len(marks)
    prompts = _latest(logs["prompt"], count)
    columns = {name: _latest(logs["rewards"][name], count) for name in weights}
    judgements = _latest(logs["extra"].get(JUDGEMENT, [None] * count), count)
    texts = []
    for number, (sha, excluded, tokens, text) in enumerate(marks):
        parts = {name: column[number] for name, column in columns.items() if excluded is None}
        known = {name: value for name, value in parts.items() if not math.isnan(value)}
        texts.append(
            Fresh(
                prompt=key_of(prompts[number]),
                criteria_sha=sha,
                text=text,
                tokens=tokens,
                reward=total(known, weights),
                parts=known,
                judgement=_judgement(judgements[number]),
            )
        )
    return texts


def total(parts: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """Sum the weighted rewards of one text, as TRL does: a missing reward adds nothing.

    Returns:
        The sum; None where every reward is missing.
    """
    if not parts:
        return None
    return math.fsum(weights[name] * value for name, value in parts.items())


Recount = Callable[[Judgement, str, int], float | None]
"""Reward that a judgement of a text gives in a step, under the criteria that rubric dropout keeps
and for the text by itself. None if unknown."""


def counting(weights: Mapping[str, float], recount: Mapping[str, Recount], step: int) -> CountFn:
    """Make the function that computes a text's reward in a step, for fresh and remembered texts.

    Args:
        weights: Weight of each reward function by name.
        recount: Name of a reward function to the function that recounts its judgements.
        step: The present step.

    Raises (when called):
        InputError: If a text to recount has no judgement.
    """

    def count(text: Fresh | Entry) -> float | None:
        parts = dict(text.parts)
        for name in recount.keys() & parts:
            if text.judgement is None:
                raise InputError(
                    f"expected the reward function {name!r} to log the judgement of each text that "
                    f"it rewards, got none for {text.text[:60]!r}: "
                    f"log_extra({JUDGEMENT!r}, [each.model_dump_json() for each in judgements])"
                )
            again = recount[name](text.judgement, text.text, step)
            if again is None:
                return None
            parts[name] = again
        return total(parts, weights)

    return count if recount else lambda text: text.reward


def _latest(values: Any, count: int) -> list[Any]:
    return list(values)[-count:]


def _judgement(value: Any) -> Judgement | None:
    if value is None or isinstance(value, Judgement):
        return value
    try:
        return Judgement.model_validate_json(value)
    except ValueError as error:
        raise InputError(
            f"expected the JSON of a Judgement in the column {JUDGEMENT!r}, got "
            f"{str(value)[:80]!r}: log judgement.model_dump_json()"
        ) from error
