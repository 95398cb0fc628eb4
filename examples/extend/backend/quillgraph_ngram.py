"""A backend that writes by the character n-grams of a text: `ngram:FILE?order=4`."""

import asyncio
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr

from quillgraph.backends import (
    Alternative,
    Capabilities,
    ChatBackend,
    ChatRequest,
    Completion,
    Position,
    TokenTrace,
)
from quillgraph.backends.errors import ConfigError


class NgramChat(ChatBackend):
    """Goes on with a text, one character after another, as the characters of a file follow.

    A token is a character and its id the character's code point. The next one is drawn by how often
    it follows the longest end of what stands there that the file holds, `order` characters at
    most. The file is read as a ring, so every end has a next character, and a reply goes on until
    `max_tokens` or a stop string.

    Raises:
        ConfigError: If the file cannot be read, or is empty.
    """

    order: int = Field(default=4, ge=0)
    """Most characters that the next one depends on."""
    _follows: dict[str, Counter[str]] = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        try:
            text = Path(self.model).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"ngram: cannot read {self.model}: {error}") from error
        if not text:
            raise ConfigError(f"ngram: expected a text in {self.model}, got an empty file")
        self._follows = follows(text, self.order)

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """What stands for the model in `ngram:FILE` is a file."""
        return cls(model=str(Path(model).expanduser()), **options)

    @property
    def capabilities(self) -> Capabilities:
        """Exact tokens and their probabilities; neither schemas nor tools."""
        return Capabilities(token_ids=True, logprobs=True, top_logprobs=True)

    @property
    def _llm_type(self) -> str:
        return "quillgraph-ngram"

    async def _complete(self, request: ChatRequest) -> Completion:
        prompt = "".join(f"{turn.role}: {turn.content}\n" for turn in request.messages)
        rng = random.Random(request.seed)
        before, text, stop = prompt, "", None
        logprobs: list[float] = []
        positions: list[Position] = []
        while len(logprobs) < request.max_tokens and stop is None:
            shares = self._next(before, request)
            # at temperature 0 the likeliest is taken, and the shares are those at temperature 1
            draws = shares if request.temperature else {max(shares, key=shares.__getitem__): 1.0}
            token = rng.choices(list(draws), list(draws.values()))[0]
            text += token
            before = (before + token)[-max(self.order, 1) :]
            logprobs.append(math.log(shares[token]))
            positions.append(position(token, shares, request.top_logprobs))
            stop = next((each for each in request.stop if text.endswith(each)), None)
            await asyncio.sleep(0)  # other calls go on, and this one can be called off
        reason = "length" if stop is None else "stop"
        return Completion(
            text=text if stop is None else text.removesuffix(stop),
            finish_reason=reason,
            prompt_tokens=len(prompt),
            completion_tokens=len(text),
            trace=TokenTrace(
                prompt_ids=tuple(map(ord, prompt)),
                completion_ids=tuple(map(ord, text)),
                logprobs=tuple(logprobs),
                finish_reason=reason,
            ),
            alternatives=tuple(positions) if request.top_logprobs else None,
        )

    def _next(self, before: str, request: ChatRequest) -> dict[str, float]:
        """The distribution that the next token is drawn from."""
        ends = (before[len(before) - n :] for n in range(min(self.order, len(before)), -1, -1))
        counts = next(self._follows[end] for end in ends if end in self._follows)
        return shares_of(counts, request.temperature or 1.0, request.top_p)


def follows(text: str, order: int) -> dict[str, Counter[str]]:
    """Count which character follows each string of up to `order` characters, in a ring."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    lead = text * (order // len(text) + 1)
    ring = lead[len(lead) - order :] + text
    for place in range(order, len(ring)):
        for n in range(order + 1):
            counts[ring[place - n : place]][ring[place]] += 1
    return dict(counts)


def shares_of(counts: Mapping[str, int], temperature: float, top_p: float) -> dict[str, float]:
    """Counts as probabilities after temperature and top-p, the likeliest first."""
    most = max(counts.values())
    weights = {each: (n / most) ** (1 / temperature) for each, n in counts.items()}
    whole, kept = sum(weights.values()), 0.0
    shares: dict[str, float] = {}
    for token, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
        if kept >= top_p * whole or not weight:
            break
        shares[token] = weight
        kept += weight
    return {token: weight / kept for token, weight in shares.items()}


def position(token: str, shares: Mapping[str, float], most: int) -> Position:
    """A token with the likeliest ones in its place; `shares` has the likeliest first."""
    likely = [*shares][:most]
    if token not in likely:
        likely.append(token)
    alternatives = tuple(Alternative(text=each, logprob=math.log(shares[each])) for each in likely)
    return Position(text=token, alternatives=alternatives)
