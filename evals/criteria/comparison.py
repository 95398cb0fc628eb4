"""Criteria of several sources side by side: found, matched with people's, and judged with."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import var_child_runnable_config

from quillgraph.agents.domain import Criterion, Value
from quillgraph.agents.judgements import text_hash
from quillgraph.agents.judges import Judge
from quillgraph.evals.criteria.parity import TextScores, score_case_text
from quillgraph.evals.criteria.sources import HUMAN, CriteriaSource, Elicited, elicit
from quillgraph.evals.data.cases import Case
from quillgraph.evals.ledger import Ledger
from quillgraph.evals.measures.matching import Confirm, Overlap, Wording, matched_overlap

AT_ONCE = 8
"""Requests that are worked on side by side; how many calls an engine takes is its own matter."""

ELICITED, MATCHED, SCORED = "criteria.jsonl", "overlaps.jsonl", "scores.jsonl"
"""Files of results, one line each, from which work that was cut short goes on."""


class Matched(Value):
    """How far the criteria of a source and those of people say the same of a request."""

    request: str
    source: str
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class Results:
    """What has been found so far, on disk and here."""

    elicited: Ledger[tuple[str, str, int], Elicited]
    """By request, source and run."""
    matched: Ledger[tuple[str, str], Matched]
    """By request and source."""
    scored: Ledger[tuple[str, str, str], TextScores]
    """By request, hash of the text and source."""

    @classmethod
    def within(cls, folder: Path) -> "Results":
        """Open the results in a folder, or begin them there."""
        return cls(
            Ledger(folder / ELICITED, Elicited, lambda row: (row.request, row.source, row.run)),
            Ledger(folder / MATCHED, Matched, lambda row: (row.request, row.source)),
            Ledger(folder / SCORED, TextScores, lambda row: row.key),
        )

    def scores(self, case: Case, source: str) -> list[TextScores]:
        """What the judge said of the texts of a request, as far as it has been asked."""
        keys = ((case.request.id, text_hash(text), source) for text in case.texts)
        rows = map(self.scored.rows.get, keys)
        return [row for row in rows if row]

    def criteria(self, request: str, source: str, run: int = 0) -> tuple[Criterion, ...]:
        """The criteria of a source; empty where it gave none."""
        row = self.elicited.rows.get((request, source, run))
        return row.found.criteria if row and row.found else ()


@dataclass(frozen=True, slots=True)
class CriteriaComparison:
    """The work: everything that is not in the results yet."""

    sources: Sequence[CriteriaSource]
    embeddings: Embeddings
    results: Results
    judge: Judge | None
    """Scores the texts; None if there are none."""
    confirm: Confirm | None = None
    """Says whether two near criteria are the same; None lets nearness decide."""
    runs: int = 1
    """Times that each source whose criteria vary is asked. The first run is what is measured, the
    others only say how far it comes again."""
    at_once: int = AT_ONCE
    listeners: Sequence[BaseCallbackHandler] = ()
    """Who hears the calls."""

    async def run(self, cases: Sequence[Case]) -> None:
        """Work on all requests, so many at once; each result is kept as soon as it is there.

        What failed before is tried again. A model that fails on one request does not stop the
        others.

        Raises:
            BudgetReached: If no more may be spent.
        """
        gate = asyncio.Semaphore(self.at_once)

        async def one(case: Case) -> None:
            async with gate:
                await self._one(case)

        await together([one(case) for case in cases])

    async def _one(self, case: Case) -> None:
        for source in self.sources:
            for run in range(self.runs if source.varies else 1):
                before = self.results.elicited.rows.get((case.request.id, source.name, run))
                if before is None or before.found is None:
                    found = await elicit(source, case.request, run, self.listeners)
                    self.results.elicited.add(found)
        heard = var_child_runnable_config.set({"callbacks": list(self.listeners)})
        try:
            for source in self.sources:
                await self._match(case, source.name)
                await self._score(case, source.name)
        finally:
            var_child_runnable_config.reset(heard)

    async def _match(self, case: Case, source: str) -> None:
        own, people = (self.results.criteria(case.request.id, name) for name in (source, HUMAN))
        done = self.results.matched.rows.get((case.request.id, source))
        is_done = done is not None and not done.overlap.unread
        if is_done or source == HUMAN or not own or not people:
            return
        found = await matched_overlap(
            wordings(own), wordings(people), self.embeddings, self.confirm
        )
        self.results.matched.add(Matched(request=case.request.id, source=source, overlap=found))

    async def _score(self, case: Case, source: str) -> None:
        own = self.results.criteria(case.request.id, source)
        if self.judge is None or not own:
            return
        scores = self.results.scores(case, source)
        done, judge = {row.text_sha for row in scores if row.judged is not None}, self.judge

        async def one(text: str) -> None:
            self.results.scored.add(await score_case_text(judge, case, text, source, own))

        await together([one(text) for text in case.texts if text_hash(text) not in done])


def wordings(criteria: Sequence[Criterion]) -> list[Wording]:
    """Criteria in the words by which they are compared."""
    return [Wording(name=each.name, description=each.description) for each in criteria]


async def together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do all of it side by side; if something fails, end the rest before that is told."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
