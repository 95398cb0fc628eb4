"""The replay memory: texts of earlier steps as rows of exact tokens, to train on again.

A data layer: rows go in and come out; it knows no model and no loss (`ALGORITHM.md` 6.5, memory
writing and replay choice). `rows.memory_rows` sets the weight of a replayed row, and `trainer`
multiplies it by the term's weight.
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
"""Maximum entries of one prompt, as in ARPO (arXiv:2505.16282) and RePO (arXiv:2506.09340)."""

CAPACITY = 4096
"""Maximum entries in memory, ours."""

MOST_AGE = 200
"""Steps after which an entry is no longer replayed, ours."""

MOST_USES = 5
"""Maximum number of replays of an entry, ours."""

MOST_OVERLAP = 0.6
"""Jaccard index of 4-grams from which two texts count as copies, ours."""

ENTROPY_COST, USE_COST = 0.1, 0.02
"""Cost of a standard deviation of entropy, and of a use, in the ranking, in units of the reward.
Preferring texts of low entropy comes from ExGRPO (arXiv:2510.02245); the numbers are ours."""

GRAM = 4
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One remembered text, as tokens."""

    prompt: str
    """Key of its prompt."""
    criteria_sha: str
    """Hash of the criteria that it was scored under; it is replayed only under these."""
    context: Literal["bare", "reflective"]
    """Whether it was written under the bare prompt, or under a critique and a plan or lessons."""
    prompt_ids: Sequence[int]
    """The bare prompt: the context of every update, even for a reflective entry."""
    completion_ids: Sequence[int]
    mask: Sequence[int]
    """1 for the completion tokens that the policy wrote, 0 for the others."""
    logprobs: Sequence[float] | None
    """Behaviour log-probability of each token under the context that it was written in; None if
    unknown."""
    reward: float
    """Weighted sum of all reward functions, before any gate."""
    step: int
    """Optimizer steps that the policy had done when it wrote this."""
    text: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Value of each reward function."""
    judgement: Judgement | None = None
    """The scores per criterion, from which the reward follows under any subset of criteria."""
    is_revision: bool = False
    """Whether it is an accepted revision, a target of the SFT anchor."""
    uses: int = 0
    id: int = -1
    """Running number in its memory, set by `Replay.add`."""

    def __post_init__(self) -> None:
        """Pack the tokens into 9 bytes each instead of 77, as memory holds thousands of rows."""
        arrays = {
            "prompt_ids": array("i", self.prompt_ids),
            "completion_ids": array("i", self.completion_ids),
            "mask": bytes(self.mask),
            "logprobs": None if self.logprobs is None else array("f", self.logprobs),
        }
        for name, value in arrays.items():
            object.__setattr__(self, name, value)

    def numbered(self, number: int, uses: int) -> "Entry":
        """The same entry with a new id and number of uses.

        It shares its fields; `dataclasses.replace` would check and pack them again.
        """
        same = object.__new__(Entry)
        same.__dict__.update(self.__dict__, id=number, uses=uses)
        return same

    @cached_property
    def entropy(self) -> float | None:
        """Mean -log b of its own tokens, nats: an estimate of the entropy it was sampled at."""
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
    """The entries of a run by prompt; the same additions always give the same state.

    Args:
        per_prompt: Maximum entries of one prompt; the least useful is dropped first.
        capacity: Maximum entries in all; the oldest is dropped first.
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
        """Store an entry, and drop entries that no longer fit.

        Returns:
            Its id, or None if it is the least useful of its prompt and was dropped itself.
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
        """Drop the entries of a prompt that were scored under other criteria.

        Returns:
            How many were dropped.
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
        """Choose the entries to replay beside the fresh texts of a prompt.

        Eligible entries have the same criteria, a reward above the fresh mean, an age of at most
        200 steps and fewer than 5 uses. They are ranked by (R - mean) - .1·z(entropy) - .02·uses
        and taken from the top, without near-copies.

        Args:
            prompt: The prompt's key.
            criteria_sha: The criteria in force.
            rewards: Reward of each entry in this step by id; an entry without one is not chosen.
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
        picks: list[Entry] = []
        for each in sorted(eligible, key=lambda entry: (-worth[entry.id], entry.id)):
            if len(picks) == most:
                break
            if all(ngram_overlap(each, other) < MOST_OVERLAP for other in picks):
                picks.append(each)
        return tuple(picks)

    def use(self, ids: Iterable[int]) -> None:
        """Count one more use of each of these entries."""
        for number in ids:
            of_prompt = self._prompts[self._where[number]]
            entry = of_prompt[number]
            of_prompt[number] = entry.numbered(number, entry.uses + 1)

    def state_dict(self) -> dict[str, Any]:
        """The whole memory as JSON values, for `load_state_dict`."""
        return {
            "version": FORMAT_VERSION,
            "next": self._next,
            "entries": [_to_json(entry) for entry in self],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Restore what `state_dict` described; the present entries are dropped.

        Raises:
            StorageError: If the state is damaged or of another format version.
        """
        if state.get("version") != FORMAT_VERSION:
            raise StorageError(
                f"expected a replay memory of version {FORMAT_VERSION}, got "
                f"{state.get('version')!r}; start without it, or use the package that wrote it"
            )
        try:
            entries = [_from_json(each) for each in state["entries"]]
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
    """Sort key: the least useful first, and the oldest among equals."""
    return entry.reward - USE_COST * entry.uses, entry.id


def _standardised(values: Sequence[float | None]) -> list[float]:
    """z-scores; 0 for unknown values, and where all are equal."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or not (spread := statistics.pstdev(known)):
        return [0.0] * len(values)
    mean = statistics.fmean(known)
    return [0.0 if value is None else (value - mean) / spread for value in values]


_TOKENS = ("prompt_ids", "completion_ids", "mask", "logprobs")


def _to_json(entry: Entry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    for name in _TOKENS:
        plain[name] = None if plain[name] is None else list(plain[name])
    judgement = entry.judgement and entry.judgement.model_dump(mode="json")
    return plain | {"judgement": judgement, "parts": dict(entry.parts)}


def _from_json(raw: Mapping[str, Any]) -> Entry:
    judgement = raw["judgement"]
    return Entry(**{**raw, "judgement": judgement and Judgement.model_validate(judgement)})
