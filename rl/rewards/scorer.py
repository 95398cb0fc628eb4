"""Judges the texts of a policy, each text once and during generation.

A cache keeps judgements by content, in memory or in one SQLite file.
"""

import asyncio
import concurrent.futures
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import CODE, Judgement, text_hash
from quillgraph.agents.judges import Judge
from quillgraph.agents.replies import ReplyText
from quillgraph.backends.calls import outside_runs
from quillgraph.backends.errors import StorageError
from quillgraph.backends.runtime import BackgroundLoop
from quillgraph.graphs.prebuilt import Submission, judge_text, unread

IN_MEMORY = ":memory:"


def judgement_key(criteria_sha: str, text_sha: str, judge: str, seed: int) -> str:
    """Hash of everything that a judgement depends on."""
    about = json.dumps([criteria_sha, text_sha, judge, seed])
    return hashlib.sha256(about.encode()).hexdigest()


class JudgementCache:
    """Cache from key to judgement; threads may share it. It keeps no judgement that lacks verdicts.

    Args:
        path: The SQLite file; None keeps the judgements in memory.

    Raises:
        StorageError: If the file cannot be opened, read or written, or has another format.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self._lock = path, Lock()
        try:
            self._file = sqlite3.connect(path or IN_MEMORY, check_same_thread=False)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS judgements (key TEXT PRIMARY KEY, judgement TEXT)"
            )
            self._file.commit()
        except sqlite3.Error as error:
            raise self._failure("open", error) from error

    def get(self, key: str) -> Judgement | None:
        """Look up a judgement; None if it is missing or was written by another version."""
        with self._lock:
            try:
                row = self._file.execute(
                    "SELECT judgement FROM judgements WHERE key = ?", (key,)
                ).fetchone()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error
        try:
            return None if row is None else Judgement.model_validate_json(row[0])
        except ValidationError:
            return None

    def put(self, key: str, judgement: Judgement) -> None:
        """Store a judgement, unless verdicts are missing: the next attempt may get them."""
        if judgement.missing:
            return
        with self._lock:
            try:
                self._file.execute(
                    "INSERT OR REPLACE INTO judgements VALUES (?, ?)",
                    (key, judgement.model_dump_json()),
                )
                self._file.commit()
            except sqlite3.Error as error:
                raise self._failure("write", error) from error

    def save(self, path: Path) -> None:
        """Write a copy of the cache."""
        with self._lock:
            try:
                copy = sqlite3.connect(path)
                self._file.backup(copy)
                copy.close()
            except sqlite3.Error as error:
                raise self._failure("copy", error) from error

    def load(self, path: Path) -> None:
        """Replace the content by a copy that `save` wrote."""
        with self._lock:
            try:
                source = sqlite3.connect(path)
                source.backup(self._file)
                source.close()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:  # a judgement that was abandoned may just be stored
            self._file.close()

    def __len__(self) -> int:
        with self._lock:
            return int(self._file.execute("SELECT COUNT(*) FROM judgements").fetchone()[0])

    def _failure(self, action: str, error: sqlite3.Error) -> StorageError:
        where = self.path or "in memory"
        return StorageError(
            f"cannot {action} the judgements {where}: {error}; free disk space, or name another "
            "file"
        )


@dataclass(slots=True)
class JudgeQueue:
    """Judges texts, each at most once.

    Equal texts under equal criteria are judged once, even while the first judgement is running, and
    texts in the cache are not judged again. `begin` starts a judgement and returns at once: a
    generator calls it for each finished text, and the judge works during generation.
    """

    judge: Judge | None = None
    """None checks the texts by code alone."""
    seed: int = 0
    """Seed of the judge's calls; part of a judgement's key."""
    cache: JudgementCache = field(default_factory=JudgementCache)
    counts: Counter[str] = field(default_factory=Counter)
    """Number of judgements that were requested (`asked`), `cached` or already `under_way`."""
    _under_way: dict[str, concurrent.futures.Future[Judgement]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _loop: BackgroundLoop = field(default_factory=lambda: BackgroundLoop("quillgraph-judging"))

    def begin(self, submission: Submission) -> concurrent.futures.Future[Judgement]:
        """Start judging a text, unless it is cached or under way."""
        criteria_sha = submission["criteria_set"].sha256
        name = self.judge.name if self.judge else ""
        key = judgement_key(criteria_sha, text_hash(submission["text"]), name, self.seed)
        with self._lock:
            if key in self._under_way:
                self.counts["under_way"] += 1
                return self._under_way[key]
            if (known := self.cache.get(key)) is not None:
                self.counts["cached"] += 1
                future: concurrent.futures.Future[Judgement] = concurrent.futures.Future()
                future.set_result(known)
                return future
            self.counts["asked"] += 1
            future = self._loop.submit(outside_runs(self._judge(key, submission)))
            self._under_way[key] = future
            return future

    async def judgements(
        self, task: WritingTask, criteria_set: CriteriaSet, texts: Sequence[str | ReplyText]
    ) -> list[Judgement]:
        """Judge texts for one task, all at once; where there is no text, nobody is asked.

        Raises:
            BackendError: If the judge cannot be reached.
        """
        replies = [ReplyText(text=each) if isinstance(each, str) else each for each in texts]
        started = [
            self.begin(Submission(task=task, criteria_set=criteria_set, text=each.text))
            for each in replies
            if each.text is not None
        ]
        judgements = iter(await asyncio.gather(*map(asyncio.wrap_future, started)))
        name = self.judge.name if self.judge else CODE
        return [
            unread(criteria_set, str(each.missing), name) if each.text is None else next(judgements)
            for each in replies
        ]

    def take_counts(self) -> dict[str, float]:
        """Number of judgements requested, cached and under way since the last call."""
        with self._lock:
            counts, self.counts = self.counts, Counter()
        return {f"judge/{name}": float(counts[name]) for name in ("asked", "cached", "under_way")}

    def close(self) -> None:
        """Stop the loop and abandon the judgements under way."""
        self._loop.close()

    async def _judge(self, key: str, submission: Submission) -> Judgement:
        try:
            judgement = await judge_text(submission, self.judge)
            self.cache.put(key, judgement)
            return judgement
        finally:
            with self._lock:
                self._under_way.pop(key, None)
