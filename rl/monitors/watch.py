"""Signs that a policy pleases its reward and nobody else (`ALGORITHM.md` 6.3.11, peers' row N7).

Each is measured on the texts of a step and compared with the first steps of the run; none of them
is a part of the reward, so none can be trained away.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import correlation, fmean

from quillgraph.agents.judges import plain, repetition_term
from quillgraph.agents.text import is_meta, sentence_spans, word_count
from quillgraph.rl.rewards.rules import RewardedText

FIRST_STEPS = 5
"""Steps that say how a policy writes before it has learned anything."""

LASTING = 3
"""Steps that a drift has to last to be told: one odd batch is none."""

LONGER, SHORTER = 2.0, 0.5
"""Times its first length beyond which a text's length has drifted. A demand for a length moves it,
too, so this warns and does not stop by itself."""

MOST_SELF_PRAISE, MOST_MARKUP, MOST_REPETITION = 0.2, 0.1, 0.2
"""By how much the shares may rise above those of the first steps."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What the texts of a step look like from outside."""

    words: float
    self_reference: float
    """Share of texts with a sentence about themselves, or to whoever judges them."""
    markup: float
    """Share of characters that are marks of Markdown."""
    repetition: float
    """1 less the repetition term of the reward."""
    length_reward: float | None
    """Correlation of words and reward over the texts; None where either is constant."""

    @classmethod
    def of(cls, scored: Sequence[RewardedText]) -> "Signs":
        """Read them off the texts of a step."""
        texts = [each.text for each in scored if each.no_text is None] or [""]
        around = [f"{each.aside.preface}\n{each.text}\n{each.aside.sign_off}" for each in scored]
        return cls(
            words=fmean(map(word_count, texts)),
            self_reference=fmean(map(_speaks_of_itself, around)),
            markup=fmean(map(_markup, texts)),
            repetition=fmean(1 - repetition_term(text) for text in texts),
            length_reward=_length_reward(scored),
        )


@dataclass(slots=True)
class TextMonitor:
    """Keeps an eye on the texts of a run: an observer of the reward function."""

    tell: Callable[[str], object] = lambda _: None
    history: list[Signs] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    """Names of the drifts that the user knows of."""
    FILE = "watch.json"

    def __call__(self, scored: Sequence[RewardedText]) -> None:
        """Take note of the texts of a step, and tell of a drift once."""
        if not scored:
            return
        self.history.append(Signs.of(scored))
        for name, drift in self.drifts().items():
            if name not in self.reported:
                self.reported.add(name)
                self.tell(f"warning: {drift}")

    def drifts(self) -> dict[str, str]:
        """What has drifted, by name, with what was and is."""
        if len(self.history) < FIRST_STEPS + LASTING:
            return {}
        return {
            name: drift
            for name in ("words", "self_reference", "markup", "repetition")
            if (drift := self._drift(name))
        }

    def metrics(self) -> dict[str, float]:
        """The signs of the latest step, as the log names them."""
        if not self.history:
            return {}
        latest = asdict(self.history[-1])
        return {f"watch/{name}": value for name, value in latest.items() if value is not None}

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint."""
        state = {"history": [asdict(each) for each in self.history], "told": sorted(self.reported)}
        (folder / self.FILE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take it back."""
        state = json.loads((folder / self.FILE).read_text(encoding="utf-8"))
        self.history = [Signs(**each) for each in state["history"]]
        self.reported = set(state["told"])

    def _drift(self, name: str) -> str | None:
        before = fmean(getattr(each, name) for each in self.history[:FIRST_STEPS])
        lately = [getattr(each, name) for each in self.history[-LASTING:]]
        if not all(_is_drift(name, before, now) for now in lately):
            return None
        return f"{_NAMES[name]} went from {before:.2f} to {fmean(lately):.2f}; read the rollouts"


_NAMES = {
    "words": "the mean number of words",
    "self_reference": "the share of texts that speak of themselves or to the judge",
    "markup": "the share of Markdown's marks",
    "repetition": "the share of repeated phrases",
}

_MOST = {
    "self_reference": MOST_SELF_PRAISE,
    "markup": MOST_MARKUP,
    "repetition": MOST_REPETITION,
}


def _is_drift(name: str, before: float, now: float) -> bool:
    if name == "words":
        return now > LONGER * before or now < SHORTER * before
    return now - before > _MOST[name]


def _speaks_of_itself(text: str) -> bool:
    return any(is_meta(text[slice(*span)]) for span in sentence_spans(text))


def _markup(text: str) -> float:
    return 1 - len(plain(text)) / len(text) if text else 0.0


def _length_reward(scored: Sequence[RewardedText]) -> float | None:
    pairs = [(word_count(each.text), each.value) for each in scored if each.value is not None]
    lengths, values = [a for a, _ in pairs], [b for _, b in pairs]
    if len(set(lengths)) < 2 or len(set(values)) < 2:
        return None
    return correlation(lengths, values)
