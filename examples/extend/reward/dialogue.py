"""A reward function of your own: how near the share of direct speech comes to a third.

In a configuration: `rewards: {functions: [dialogue.py:dialogue]}`; with TRL's own trainer:
`GRPOTrainer(..., reward_funcs=[dialogue])`.
"""

import re
from typing import Any

WANTED = 1 / 3
SPEECH = re.compile(r"[\"“「](.*?)[\"”」]", re.DOTALL)


def dialogue(completions: list[Any], **columns: Any) -> list[float | None]:
    """Reward each text from 0 to 1; None, which is left out of its group, for an empty one.

    `columns` holds what else TRL gives: `prompts`, the columns of the data set, `trainer_state`.
    """
    texts = [each if isinstance(each, str) else each[0]["content"] for each in completions]
    return [closeness(text) if text.strip() else None for text in texts]


def closeness(text: str) -> float:
    """1 where a third of the characters are speech, and less the further it is from that."""
    spoken = sum(len(speech) for speech in SPEECH.findall(text)) / len(text)
    return 1 - abs(spoken - WANTED) / max(WANTED, 1 - WANTED)
