"""What TRL has just generated and scored, read as groups of texts with rewards."""

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
        marks: Of each text its criteria hash, why it is excluded, its count of tokens, and the text
            that the reward is of.

    Raises:
        InputError: If a judgement is not one.
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
    """Weigh the rewards of one text together, as TRL does: one that is not there adds nothing.

    Returns:
        The sum; None where no function gave a reward.
    """
    if not parts:
        return None
    return math.fsum(weights[name] * value for name, value in parts.items())


Recount = Callable[[Judgement, str, int], float | None]
"""What a judgement of a text comes to in a step: under the criteria that rubric dropout left in,
the text by itself. None if that is not known."""


def counting(weights: Mapping[str, float], recount: Mapping[str, Recount], step: int) -> CountFn:
    """Make the rule by which texts count in a step, fresh and remembered ones alike.

    Args:
        weights: Weight of each reward function by name.
        recount: For a reward function by name, how its judgements are counted anew.
        step: The present step.

    Raises (when called):
        InputError: If a text that is to be counted anew has no judgement.
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
