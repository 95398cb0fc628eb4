"""Scores the texts that people have judged, all by the same criteria."""

import asyncio
from collections.abc import Iterable

from quillgraph.agents.domain import Criterion, Value, WritingTask
from quillgraph.agents.judgements import Verdict
from quillgraph.agents.judges import Judge, text_for_judge, weighted_score
from quillgraph.agents.replies import reply_text
from quillgraph.agents.requests import NO_REQUEST, writing_task
from quillgraph.backends.errors import BackendError, InputError, ReplyError
from quillgraph.evals.data.records import Preference, RatedText, Record, Side, majority

AT_ONCE = 8
"""Texts judged at a time. Each engine sets its own limit of concurrent calls."""


class JudgedText(Value):
    """A text with the judge's score."""

    id: str
    group: str
    """Prompt of the text."""
    text: str
    judged: float | None
    """From 1 to 10; None if there is none."""
    reason: str = ""
    """Why the score is missing."""
    human: float | None = None
    """Mean score of people; None in a pair."""


class ScoredPair(Value):
    """A pair with the judge's scores of its texts."""

    id: str
    group: str
    left: JudgedText
    right: JudgedText
    votes: tuple[Side, ...]

    @property
    def preferred(self) -> Side:
        """The side that most people prefer; `tie` if neither leads."""
        return majority(self.votes)

    @property
    def choice(self) -> Side | None:
        """The side that the judge scores higher; None if a score is missing."""
        if self.left.judged is None or self.right.judged is None:
            return None
        if self.left.judged == self.right.judged:
            return "tie"
        return "left" if self.left.judged > self.right.judged else "right"


class HumanDataScorer:
    """Scores texts with one judge and one set of criteria; each request and text once."""

    def __init__(self, judge: Judge, criteria: tuple[Criterion, ...]) -> None:
        self.judge, self.criteria = judge, criteria
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._scores: dict[tuple[str, str], asyncio.Task[tuple[float | None, str]]] = {}

    async def texts(self, records: Iterable[RatedText]) -> list[JudgedText]:
        """Score texts that people have scored."""
        return list(await asyncio.gather(*map(self._rated, records)))

    async def pairs(self, records: Iterable[Preference]) -> list[ScoredPair]:
        """Score both texts of pairs that people have compared."""
        return list(await asyncio.gather(*map(self._pair, records)))

    async def score(self, request: str, text: str) -> tuple[float | None, str]:
        """Score one text from 1 to 10, or say why there is no score."""
        key = (request, text)
        if key not in self._scores:
            self._scores[key] = asyncio.ensure_future(self._score(request, text))
        return await self._scores[key]

    async def _rated(self, record: RatedText) -> JudgedText:
        scored = await self._scored(record, record.request, record.text, group=record.request)
        return scored.model_copy(update={"human": record.score})

    async def _pair(self, record: Preference) -> ScoredPair:
        left, right = await asyncio.gather(
            self._scored(record, record.request, record.left, group=record.group),
            self._scored(record, record.request, record.right, group=record.group),
        )
        return ScoredPair(
            id=record.id, group=record.group, left=left, right=right, votes=record.votes
        )

    async def _scored(self, record: Record, request: str, text: str, *, group: str) -> JudgedText:
        judged, reason = await self.score(request, text)
        words = reply_text(text, request=request).words
        return JudgedText(
            id=record.id, group=group or record.id, text=words, judged=judged, reason=reason
        )

    async def _score(self, request: str, text: str) -> tuple[float | None, str]:
        async with self._gate:
            task = writing_task(request or NO_REQUEST)
            verdicts, reason = await verdicts_on(self.judge, task, text, self.criteria)
        return (None, reason) if reason else (points(verdicts, self.criteria), "")


async def verdicts_on(
    judge: Judge, task: WritingTask, text: str, criteria: tuple[Criterion, ...]
) -> tuple[tuple[Verdict, ...], str]:
    """Judge a text on criteria.

    Returns:
        The verdicts, and why they give no score: empty if each criterion that a judge scores has
        a verdict.
    """
    reply = reply_text(text, request=task.request)
    if reply.text is None:
        return (), str(reply.missing)
    try:
        ballot = await judge.judge(task, text_for_judge(reply.text, criteria), criteria)
    except (BackendError, ReplyError, InputError) as error:
        return (), f"{type(error).__name__}: {error}"
    answered = {verdict.criterion_id for verdict in ballot.verdicts}
    soft = [each for each in criteria if each.kind != "hard"]
    if missing := [each.id for each in soft if each.id not in answered]:
        reasons = {each.criterion_id: each.reason for each in ballot.missing}
        return ballot.verdicts, reasons.get(missing[0], "the judge left a criterion out")
    return ballot.verdicts, "" if soft else "no criterion that a judge scores"


def points(verdicts: Iterable[Verdict], criteria: Iterable[Criterion]) -> float | None:
    """Weighted score of verdicts, from 1 to 10; None without a criterion that a judge scores."""
    scores = {verdict.criterion_id: verdict.score for verdict in verdicts}
    soft = weighted_score(scores, tuple(criteria))
    return None if soft is None else 1 + 9 * soft
