"""What training remembers of earlier steps: rows of exact tokens, to be learned from again.

A data layer: rows go in, rows come out, and nothing here knows a model or a loss
(`ALGORITHM.md` 6.5, memory writing and replay choice). What a replayed row weighs is decided in
`rows.memory_rows`, times the term's weight in `trainer`.
"""

import statistics
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

from quillgraph.agents.judgements import Judgement
from quillgraph.backends.errors import StorageError

PER_PROMPT = 8
"""Entries kept for one prompt, as in ARPO (arXiv:2505.16282) and RePO (arXiv:2506.09340)."""

CAPACITY = 4096
"""Entries kept in all, ours."""

MOST_AGE = 200
"""Steps after which an entry is no longer replayed, ours."""

MOST_USES = 5
"""Times that an entry is replayed, ours."""

MOST_OVERLAP = 0.6
"""Jaccard index of 4-grams from which two texts are the same one, ours."""

ENTROPY_COST, USE_COST = 0.1, 0.02
"""What a standard deviation of entropy and a use cost in the ranking, in units of the reward. That
a sure text comes first is ExGRPO's (arXiv:2510.02245); the numbers are ours."""

GRAM = 4
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One remembered text, as tokens."""

    prompt: str
    """Key of the prompt that it answers."""
    criteria_sha: str
    """The criteria that it was scored under; it is replayed under no others."""
    context: Literal["bare", "reflective"]
    """Whether it was written with the bare prompt, or with a critique and a plan before it."""
    prompt_ids: Sequence[int]
    """The bare prompt: the context of every update, whatever it was written under."""
    completion_ids: Sequence[int]
    mask: Sequence[int]
    """1 for the completion tokens that the policy wrote, 0 for the others."""
    logprobs: Sequence[float] | None
    """Behaviour log-probability of each token under the context that it was written in; None for
    a text that came from elsewhere."""
    reward: float
    """All reward functions together, before any gate."""
    step: int
    """Optimizer steps that the policy had done when it wrote this."""
    text: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What each reward function gave."""
    judgement: Judgement | None = None
    """The scores per criterion, from which the reward follows under any subset of criteria."""
    is_revision: bool = False
    """An accepted revision of a text of the policy's: what the SFT anchor learns from."""
    uses: int = 0
    id: int = -1
    """Running number in its memory, given when it is added."""

    def __post_init__(self) -> None:
        """Pack the tokens: 9 bytes for each instead of 77, as thousands of rows are kept."""
        packed = {
            "prompt_ids": array("i", self.prompt_ids),
            "completion_ids": array("i", self.completion_ids),
            "mask": bytes(self.mask),
            "logprobs": None if self.logprobs is None else array("f", self.logprobs),
        }
        for name, value in packed.items():
            object.__setattr__(self, name, value)

    def numbered(self, number: int, uses: int) -> "Entry":
        """The same entry under a number, used so many times.

        It shares what it holds, which `dataclasses.replace` would check and pack again.
        """
        same = object.__new__(Entry)
        same.__dict__.update(self.__dict__, id=number, uses=uses)
        return same

    @cached_property
    def entropy(self) -> float | None:
        """Mean surprise of its own tokens, nats: an estimate of the entropy it was drawn at."""
        if self.logprobs is None:
            return None
        known = [-logp for logp, own in zip(self.logprobs, self.mask, strict=True) if own]
        return statistics.fmean(known) if known else None

    @cached_property
    def grams(self) -> frozenset[tuple[int, ...]]:
        """4-grams of its token ids; a shorter text is one gram."""
        ids = tuple(self.completion_ids)
        runs = zip(*(ids[start:] for start in range(GRAM)), strict=False)
        return frozenset(runs) or frozenset([ids])

    @property
    def tokens(self) -> int:
        """Completion tokens that the policy wrote."""
        return sum(self.mask)


def ngram_overlap(one: Entry, other: Entry) -> float:
    """Jaccard index of the 4-grams of two texts, from 0 to 1."""
    union = len(one.grams | other.grams)
    return len(one.grams & other.grams) / union if union else 1.0


@dataclass
class Replay:
    """The entries of a run, by prompt; the same additions always leave the same state.

    Args:
        per_prompt: Entries kept for one prompt; the least useful goes first.
        capacity: Entries kept in all; the oldest goes first.
    """

    per_prompt: int = PER_PROMPT
    capacity: int = CAPACITY
    _prompts: dict[str, dict[int, Entry]] = field(default_factory=dict)
    _where: dict[int, str] = field(default_factory=dict)
    """Id to prompt, oldest first."""
    _next: int = 0

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, oldest first."""
        return (self._prompts[prompt][number] for number, prompt in self._where.items())

    def add(self, entry: Entry) -> int | None:
        """Keep an entry; what no longer fits goes.

        Returns:
            Its id, or None if it is itself the least useful of its prompt's and was not kept.
        """
        number, self._next = self._next, self._next + 1
        of_prompt = self._prompts.setdefault(entry.prompt, {})
        of_prompt[number] = entry.numbered(number, entry.uses)
        self._where[number] = entry.prompt
        if len(of_prompt) > self.per_prompt:
            self._drop(min(of_prompt, key=lambda each: _usefulness(of_prompt[each])))
        if len(self._where) > self.capacity:
            self._drop(next(iter(self._where)))
        return number if number in self._where else None

    def of(self, prompt: str) -> tuple[Entry, ...]:
        """The entries of a prompt, oldest first."""
        return tuple(self._prompts.get(prompt, {}).values())

    def drop_stale(self, prompt: str, criteria_sha: str) -> int:
        """Forget the entries of a prompt that were scored under other criteria.

        Returns:
            How many there were.
        """
        stale = [each.id for each in self.of(prompt) if each.criteria_sha != criteria_sha]
        for number in stale:
            self._drop(number)
        return len(stale)

    def choose(
        self,
        prompt: str,
        *,
        criteria_sha: str,
        rewards: Mapping[int, float],
        above: float,
        step: int,
        most: int,
    ) -> tuple[Entry, ...]:
        """Choose what to learn from again beside the fresh texts of a prompt.

        Eligible is what has the same criteria, a reward above the fresh mean, an age of at most
        200 steps and fewer than 5 uses; then ranked by (R - mean) - .1·z(entropy) - .02·uses, and
        taken from the top without near-copies.

        Args:
            prompt: The prompt's key.
            criteria_sha: The criteria in force.
            rewards: Reward of each entry by id, as it counts in this step; an entry that is
                missing here has none and is not chosen.
            above: Mean reward of the fresh texts.
            step: The present step.
            most: Most entries, M.
        """
        eligible = [
            each
            for each in self.of(prompt)
            if each.criteria_sha == criteria_sha
            and rewards.get(each.id, above) > above
            and step - each.step <= MOST_AGE
            and each.uses < MOST_USES
        ]
        surprise = _standardised([each.entropy for each in eligible])
        worth = {
            each.id: rewards[each.id] - above - ENTROPY_COST * z - USE_COST * each.uses
            for each, z in zip(eligible, surprise, strict=True)
        }
        chosen: list[Entry] = []
        for each in sorted(eligible, key=lambda entry: (-worth[entry.id], entry.id)):
            if len(chosen) == most:
                break
            if all(ngram_overlap(each, other) < MOST_OVERLAP for other in chosen):
                chosen.append(each)
        return tuple(chosen)

    def use(self, ids: Iterable[int]) -> None:
        """Count one more use of each of these entries."""
        for number in ids:
            of_prompt = self._prompts[self._where[number]]
            entry = of_prompt[number]
            of_prompt[number] = entry.numbered(number, entry.uses + 1)

    def state_dict(self) -> dict[str, Any]:
        """Everything as JSON values; `load_state_dict` makes the same memory of it."""
        return {
            "version": FORMAT_VERSION,
            "next": self._next,
            "entries": [_dumped(entry) for entry in self],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Become what `state_dict` described; what is here now is forgotten.

        Raises:
            StorageError: If the state is not one that this version of the package wrote.
        """
        if state.get("version") != FORMAT_VERSION:
            raise StorageError(
                f"expected a replay memory of version {FORMAT_VERSION}, got "
                f"{state.get('version')!r}; start without it, or use the package that wrote it"
            )
        try:
            entries = [_loaded(each) for each in state["entries"]]
            following = int(state["next"])
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"the replay memory cannot be read: {error}") from error
        self._prompts, self._where, self._next = {}, {}, following
        for entry in entries:
            self._prompts.setdefault(entry.prompt, {})[entry.id] = entry
            self._where[entry.id] = entry.prompt
        return self

    def _drop(self, number: int) -> None:
        prompt = self._where.pop(number)
        del self._prompts[prompt][number]
        if not self._prompts[prompt]:
            del self._prompts[prompt]


def _usefulness(entry: Entry) -> tuple[float, int]:
    """Least first; of equals the oldest."""
    return entry.reward - USE_COST * entry.uses, entry.id


def _standardised(values: Sequence[float | None]) -> list[float]:
    """z-scores; 0 for what is not known, and where nothing differs."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or not (spread := statistics.pstdev(known)):
        return [0.0] * len(values)
    mean = statistics.fmean(known)
    return [0.0 if value is None else (value - mean) / spread for value in values]


_TOKENS = ("prompt_ids", "completion_ids", "mask", "logprobs")


def _dumped(entry: Entry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    for name in _TOKENS:
        plain[name] = None if plain[name] is None else list(plain[name])
    read = entry.judgement and entry.judgement.model_dump(mode="json")
    return plain | {"judgement": read, "parts": dict(entry.parts)}


def _loaded(raw: Mapping[str, Any]) -> Entry:
    judgement = raw["judgement"]
    return Entry(**{**raw, "judgement": judgement and Judgement.model_validate(judgement)})
