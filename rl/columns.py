"""Dataset columns that we share with TRL, and readers of its prompts and completions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from quillgraph.agents.replies import NOTHING_ASIDE, ReplyText, answer_of, reply_text
from quillgraph.backends.messages import opens_thinking

JUDGEMENT = "judgement"
"""Column under which a reward function logs the judgement of each text, by TRL's `log_extra`: the
JSON of a `Judgement`, or None. The gate and `Recount` read it; TRL's own trainer shows it."""

CRITERIA_SHA = "criteria_sha"
"""Column of the dataset: hash of the criteria that a prompt's rewards are computed from."""

EXCLUDED = "excluded"
"""Column that a rollout function returns: why a rollout has no text, None where it has one."""

OPENED = "opened_thinking"
"""Column of the dataset: whether the policy's prompt ends in an opening mark of thinking."""

REQUEST = "request"
"""Column of the dataset: what was asked for, where the prompt says more than that."""

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


def rewarded_texts(
    prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> list[ReplyText]:
    """The texts that rewards are of: what a graph gave, else the last answer of the completion.

    The rows themselves hold all that was sampled: thinking is a part of what a policy does, and is
    learned from with the text. It is not judged.

    Args:
        prompts: As TRL has them.
        completions: Plain, or the messages of a conversation with its calls of tools.
        columns: Of these `REQUEST`, `TEXT`, `EXCLUDED`, `OPENED` and `TRAJECTORY` are read.

    Returns:
        One for each completion; without a text where a rollout gave none.
    """
    rows = zip(
        prompts,
        completions,
        *(
            columns.get(name) or [None] * len(completions)
            for name in (REQUEST, TEXT, EXCLUDED, OPENED, TRAJECTORY)
        ),
        strict=True,
    )
    return [_rewarded_text(*row) for row in rows]


def _rewarded_text(
    prompt: Any,
    completion: Any,
    request: str | None,
    text: str | None,
    why: str | None,
    opened: bool | None,
    trajectory: Any,
) -> ReplyText:
    if why is not None:
        return ReplyText(text=None, missing=why)
    if text is not None:
        return ReplyText(text=text, aside=getattr(trajectory, "aside", NOTHING_ASIDE))
    is_opened = bool(opened) or (isinstance(prompt, str) and opens_thinking(prompt))
    asked = request if request is not None else request_of(prompt)
    return reply_text(completion, request=asked, opened=is_opened)


def request_of(prompt: Any) -> str:
    """The request in a prompt: a string, or the last user turn of a conversation."""
    if isinstance(prompt, str):
        return prompt
    asked = (turn["content"] for turn in reversed(prompt) if turn["role"] == "user")
    return answer_of(next(asked, "")).words
