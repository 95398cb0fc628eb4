"""Judging what a policy writes: once per text, on a loop of its own, while it goes on writing."""

import asyncio
import concurrent.futures
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import Judgement, text_hash
from quillgraph.agents.judges.prompted import Judge
from quillgraph.backends.runtime.loops import BackgroundLoop
from quillgraph.graphs.prebuilt.judge import Submission, judge_text
from quillgraph.rl.rewards.scorer import JudgementCache, judgement_key


@dataclass(slots=True)
class Scorer:
    """Judges texts, each at most once.

    Equal texts under equal criteria are asked for once, also while the first answer is under way,
    and what is in the cache is not asked for at all. `begin` starts a judgement and returns at
    once: whoever generates calls it for each finished text, and the judge works meanwhile.
    """

    judge: Judge | None = None
    """None: code alone checks the texts."""
    seed: int = 0
    """Part of a judgement's key: that of the judge's calls."""
    cache: JudgementCache = field(default_factory=JudgementCache)
    counts: Counter[str] = field(default_factory=Counter)
    """How many judgements were `asked` for, `cached`, or already `under_way`."""
    _under_way: dict[str, concurrent.futures.Future[Judgement]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _loop: BackgroundLoop = field(default_factory=lambda: BackgroundLoop("quillgraph-judging"))

    def begin(self, submission: Submission) -> concurrent.futures.Future[Judgement]:
        """Start judging a text, unless that has been done or is being done."""
        criteria_sha = submission["criteria_set"].sha256
        name = self.judge.name if self.judge else ""
        key = judgement_key(criteria_sha, text_hash(submission["text"]), name, self.seed)
        with self._lock:
            if key in self._under_way:
                self.counts["under_way"] += 1
                return self._under_way[key]
            if (known := self.cache.get(key)) is not None:
                self.counts["cached"] += 1
                done: concurrent.futures.Future[Judgement] = concurrent.futures.Future()
                done.set_result(known)
                return done
            self.counts["asked"] += 1
            started = self._loop.submit(self._judge(key, submission))
            self._under_way[key] = started
            return started

    async def judgements(
        self, task: WritingTask, criteria_set: CriteriaSet, texts: list[str]
    ) -> list[Judgement]:
        """Judge texts for one task, all at once.

        Raises:
            BackendError: If the judge could not be reached.
        """
        started = [
            self.begin(Submission(task=task, criteria_set=criteria_set, text=text))
            for text in texts
        ]
        return list(await asyncio.gather(*map(asyncio.wrap_future, started)))

    def take_counts(self) -> dict[str, float]:
        """How many judgements were asked for, cached and under way since the last call."""
        with self._lock:
            taken, self.counts = self.counts, Counter()
        return {f"judge/{name}": float(taken[name]) for name in ("asked", "cached", "under_way")}

    def close(self) -> None:
        """Stop the loop; what is under way is given up."""
        self._loop.close()

    async def _judge(self, key: str, submission: Submission) -> Judgement:
        try:
            found = await judge_text(submission, self.judge)
            self.cache.put(key, found)
            return found
        finally:
            with self._lock:
                self._under_way.pop(key, None)
