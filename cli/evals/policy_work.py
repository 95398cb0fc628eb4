"""The work of `quillgraph eval policy`: write, score and compare, each text kept as it comes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from quillgraph.agents.judges import PromptedJudge, PromptedPairJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import BackendError, QuillError
from quillgraph.cli.session.budget import charge_earlier
from quillgraph.cli.session.engines import Engines
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.progress import ProgressWatch
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.turns import Turns
from quillgraph.evals.ledger import Ledger
from quillgraph.evals.policies import (
    MEASURES,
    ComparedTexts,
    Contest,
    Entrant,
    Policy,
    PolicyReport,
    ScoredText,
    TextKey,
    Writer,
    WrittenText,
    compare_texts,
    heard,
    policy_report,
    response_scores,
    responses,
    score_text,
    writer_for,
)

STAGES = {
    "write": "having the policies write",
    "score": "scoring the texts",
    "compare": "comparing the texts",
    "measure": "measuring",
}

AT_ONCE = 32
"""Texts in work side by side; how many calls an engine takes at a time is its own matter."""

T = TypeVar("T")


KEPT = ("texts", "scores", "comparisons")
"""What is added to files of these names as it is made."""


class Comparing:
    """Compares policies; what a cut run has made is taken up.

    Args:
        contest: Who is compared, on what.
        settings: Seed, lengths, votes and budgets.
        folder: Where texts, scores and comparisons are kept.
        turns: The models.
    """

    def __init__(self, contest: Contest, settings: Settings, folder: Path, turns: Turns) -> None:
        self.contest, self.settings, self.turns = contest, settings, turns
        texts, scores, compared = (folder / f"{name}.jsonl" for name in KEPT)
        self.texts = Ledger(texts, WrittenText, lambda row: row.place)
        self.scores = Ledger(scores, ScoredText, lambda row: row.place)
        self.comparisons = Ledger(compared, ComparedTexts, lambda row: row.place)
        self.report: PolicyReport | None = None
        self._budget = Budget(settings.max_calls, settings.max_tokens_total)
        charge_earlier(self._budget, folder)
        self._prompts = {each.id: each for each in contest.prompts}

    @property
    def stages(self) -> Mapping[str, str]:
        """Writing takes longest."""
        return STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Do what has not been done yet.

        Raises:
            BudgetReached: If there is nothing left to spend.
            QuillError: If a policy has given no text at all.
        """
        for policy in self.contest.in_turn:
            await self._write_all(policy, recorder)
        watch.finished("write")
        with heard(recorder, "judge"):
            await self._score_all()
            watch.finished("score")
            await self._compare_all()
            watch.finished("compare")
        self.report = self._report()
        watch.finished("measure")

    async def _write_all(self, policy: Policy, recorder: Recorder) -> None:
        due = [place for place in self._places(policy) if not self._has_text(place)]
        if not due:
            return
        model = await self.turns.take(policy.model, policy.adapter, _version(policy))
        writer = writer_for(
            policy,
            model,
            budget=self._budget,
            recorder=recorder,
            seed=self.settings.seed,
            measures=self.settings.model_dump(include=set(MEASURES)),
            reading=self.contest.reading,
        )
        await side_by_side(due, lambda place: self._write(policy, writer, place))
        self._refuse_silence(policy)

    async def _write(self, policy: Policy, writer: Writer, place: TextKey) -> None:
        _, prompt, number = place
        tokens = self._dearest(prompt, number) if policy.at_equal_tokens else None
        if tokens == 0:
            reason = "no other policy has a text here whose tokens were counted"
            text = WrittenText(policy=place[0], prompt=prompt, number=number, failure=reason)
        else:
            text = await writer.write(self._prompts[prompt], number, tokens)
        self.texts.add(text)

    def _dearest(self, prompt: str, number: int) -> int:
        """Tokens that the dearest policy has spent on this text of a prompt; 0 for none."""
        spenders = (each.name for each in self.contest.policies if not each.at_equal_tokens)
        rows = (self.texts.rows.get((name, prompt, number)) for name in spenders)
        return max((row.tokens for row in rows if row and row.failure is None), default=0)

    async def _score_all(self) -> None:
        due = [place for place in self._written() if _is_due(self.scores.rows.get(place))]
        if not due:
            return
        judge = PromptedJudge((await self._judge(),), self.settings.samples)

        async def score(place: TextKey) -> None:
            text = self.texts.rows[place]
            self.scores.add(await score_text(text, self._prompts[text.prompt], judge))

        await side_by_side(due, score)
        self._refuse_mute_judge(self.scores.rows.values())

    async def _compare_all(self) -> None:
        due = [place for place in self._pairs() if _is_due(self.comparisons.rows.get(place))]
        if not due:
            return
        judge = PromptedPairJudge(await self._judge())

        async def compare(place: TextKey) -> None:
            text, other = self.texts.rows[place], self.texts.rows[self._opposite(place)]
            found = await compare_texts(text, other, self._prompts[text.prompt], judge)
            self.comparisons.add(found)

        await side_by_side(due, compare)
        self._refuse_mute_judge(self.comparisons.rows.values())

    async def _judge(self) -> Role:
        model = await self.turns.take(self.contest.judge)
        return Role("judge", model, self.settings.seed, self._budget)

    def _places(self, policy: Policy) -> list[TextKey]:
        numbers = range(self.contest.texts)
        return [(policy.name, each.id, n) for each in self.contest.prompts for n in numbers]

    def _has_text(self, place: TextKey) -> bool:
        row = self.texts.rows.get(place)
        return row is not None and row.failure is None

    def _written(self) -> list[TextKey]:
        places = (place for each in self.contest.policies for place in self._places(each))
        return [place for place in places if self._has_text(place)]

    def _pairs(self) -> list[TextKey]:
        """The texts of the others that have one of the reference opposite them."""
        name = self.contest.reference.name
        return [p for p in self._written() if p[0] != name and self._has_text(self._opposite(p))]

    def _opposite(self, place: TextKey) -> TextKey:
        return self.contest.reference.name, place[1], place[2]

    def _refuse_silence(self, policy: Policy) -> None:
        """End a run of which a policy would be missing."""
        places = self._places(policy)
        if any(self._has_text(place) for place in places):
            return
        kind = QuillError if policy.graph else BackendError
        reason = self.texts.rows[places[0]].failure
        raise kind(f"policy {policy.name} ({policy.spec}) gave no text at all: {reason}")

    def _refuse_mute_judge(self, rows: Collection[ScoredText | ComparedTexts]) -> None:
        """End a run whose judge has not been understood once."""
        reasons = [row.missing for row in rows]
        if reasons and None not in reasons:
            raise BackendError(f"the judge has not given a single answer: {reasons[0]}")

    def _report(self) -> PolicyReport:
        contest = self.contest
        return policy_report(
            [self._entrant(each) for each in contest.policies],
            self._in_order(self.texts.rows),
            self._in_order(self.scores.rows),
            self._in_order(self.comparisons.rows),
            told={
                "data": contest.data,
                "judge": f"{contest.judge.kind}:{contest.judge.model}",
                "criteria": contest.criteria,
            },
            texts_each=contest.texts,
            notes=contest.notes,
            excluded=contest.excluded,
            seed=self.settings.seed,
        )

    def _in_order(self, rows: Mapping[TextKey, T]) -> list[T]:
        """Rows by policy and prompt: they came in any order, and resampling goes by theirs."""
        places = (place for each in self.contest.policies for place in self._places(each))
        return [rows[place] for place in places if place in rows]

    def _entrant(self, policy: Policy) -> Entrant:
        own = [row for row in self.texts.rows.values() if row.policy == policy.name]
        return Entrant(
            name=policy.name,
            spec=policy.spec,
            texts=sum(row.failure is None for row in own),
            tokens=sum(row.tokens for row in own),
            adapter=str(policy.adapter) if policy.adapter else None,
            trained_in=str(policy.training.folder) if policy.training else None,
        )

    def keep(self, folder: RunFolder) -> None:
        """Write the report, if the run has come so far; all else is written as it comes."""
        if self.report is None:
            return
        from quillgraph.cli.display.policies import markdown

        folder.write_json("report.json", self.result())
        folder.write_text("report.md", markdown(self.report))
        if self.contest.data_format == "writingbench":
            self._keep_for_writingbench(folder)

    def _keep_for_writingbench(self, folder: RunFolder) -> None:
        for each in self.contest.policies:
            texts = [row for row in self._in_order(self.texts.rows) if row.policy == each.name]
            judged = [row for row in self._in_order(self.scores.rows) if row.policy == each.name]
            folder.write_text(f"writingbench/responses/{each.name}.jsonl", responses(texts))
            folder.write_text(f"writingbench/scores/{each.name}.jsonl", response_scores(judged))

    def reached(self) -> str:
        """Say how far it has come."""
        texts, wanted = len(self._written()), self.contest.wanted
        return (
            f"reached: {texts} of {wanted} texts, {len(self.scores.rows)} scores, "
            f"{len(self.comparisons.rows)} comparisons"
        )

    def result(self) -> dict[str, Any]:
        """The report, for machines."""
        assert self.report is not None
        return {"report": self.report.model_dump(mode="json")}


async def side_by_side(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on items, `AT_ONCE` at a time; the first error ends those under way, and is raised."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _is_due(row: ScoredText | ComparedTexts | None) -> bool:
    """Whether a place has nothing yet; what the judge left out is asked for again."""
    return row is None or row.missing is not None


def _version(policy: Policy) -> str:
    """What traces call the weights of a policy."""
    return f"policy-{policy.name}" if policy.adapter else "base"
