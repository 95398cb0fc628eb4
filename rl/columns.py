"""Dataset columns that we share with TRL, and readers of its prompts and completions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

JUDGEMENT = "judgement"
"""Column under which a reward function logs the judgement of each text, by TRL's `log_extra`: the
JSON of a `Judgement`, or None. The gate and `Recount` read it; TRL's own trainer shows it."""

CRITERIA_SHA = "criteria_sha"
"""Column of the dataset: hash of the criteria that a prompt's rewards are computed from."""

EXCLUDED = "excluded"
"""Column that a rollout function returns: why a rollout has no text, None where it has one."""

RIDERS = "riders"
"""Column that a rollout function returns: the other trainable `Row`s of each episode."""

TEXT = "episode_text"
"""Column that a rollout function returns: the text that a graph returned, which is what gets the
reward; None where the completion gets it."""

TRAJECTORY = "trajectory"
"""Column that a rollout function returns: the whole `Trajectory` of each text, None without one."""


def key_of(prompt: object) -> str:
    """Key of a prompt, the same in every process and run."""
    canonical = json.dumps(prompt, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def completion_text(completion: Any) -> str:
    """The text of a completion, plain or conversational."""
    return completion if isinstance(completion, str) else str(completion[0]["content"])


def rewarded_texts(completions: Sequence[Any], columns: Mapping[str, Any]) -> list[str]:
    """The texts to reward: what the graph returned, or else the completion."""
    texts = columns.get(TEXT) or [None] * len(completions)
    return [
        completion_text(completion) if text is None else text
        for completion, text in zip(completions, texts, strict=True)
    ]


def request_of(prompt: Any) -> str:
    """The request in a prompt: a string, or the last user turn of a conversation."""
    if isinstance(prompt, str):
        return prompt
    return str(next(turn["content"] for turn in reversed(prompt) if turn["role"] == "user"))
