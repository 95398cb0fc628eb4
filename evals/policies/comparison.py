"""Compares policies: they write, a judge scores and compares, each result is stored."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from quillgraph.agents.domain import Criterion
from quillgraph.agents.judges import PromptedJudge, PromptedPairJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget, Recorder, require
from quillgraph.backends.errors import BackendError, QuillError
from quillgraph.backends.weights import check_adapter
from quillgraph.evals.concurrency import for_each
from quillgraph.evals.data.loader import Loaded
from quillgraph.evals.policies.contest import Contest, ContestOptions, read_contest
from quillgraph.evals.policies.engines import EngineTurns
from quillgraph.evals.policies.policy import Policy
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, TextKey, WrittenText
from quillgraph.evals.policies.report import Entrant, PolicyReport, policy_report
from quillgraph.evals.policies.results import PolicyResults
from quillgraph.evals.policies.scores import compare_texts, score_text
from quillgraph.evals.policies.writers import (
    MEASURES,
    Writer,
    policy_graph,
    recorded_as,
    writer_for,
)

AT_ONCE = 32
"""Texts in work at a time. Each engine sets its own limit of concurrent calls."""

STAGES = ("write", "score", "compare", "measure")
"""Stages of a comparison, in order."""

T = TypeVar("T")


async def compare_policies(
    policies: Sequence[str],
    data: Loaded,
    judge: str,
    *,
    criteria: Sequence[Criterion] | None = None,
    options: ContestOptions | None = None,
    results: PolicyResults | None = None,
    budget: Budget | None = None,
    recorder: Recorder | None = None,
) -> PolicyReport:
    """Compare models, adapters and graphs on the same requests.

    Args:
        policies: `[NAME=][GRAPH[?option=value]@]MODEL` each; the others are compared with the
            first. See `read_policies`.
        data: Requests, as `load` reads them.
        judge: Spec of the backend that scores each text, and compares it with the first policy's.
        criteria: What texts are scored by; None takes each request's own, else a generic rubric.
        options: How they are compared.
        results: Earlier results are kept and new ones added; None starts empty, in memory.
        budget: What the calls may spend; None sets no limit.
        recorder: Hears every call.

    Returns:
        The measures of each policy and its differences from the first, with intervals.

    Raises:
        ConfigError: If something is no policy, a model lacks what it needs, or the judge has
            trained a policy.
        InputError: If there are no requests.
        BudgetReached: If the budget is spent; what is in `results` stays.
        QuillError: If a policy gave no text at all, or the judge not a single answer.
    """
    contest = read_contest(policies, data, judge, criteria=criteria, options=options)
    engines = EngineTurns(contest.models)
    try:
        refuse_unfit(contest, engines)
        return await PolicyComparison(
            contest,
            engines,
            results or PolicyResults.within(),
            budget or Budget(),
            recorder,
        ).run()
    finally:
        await engines.aclose()


def refuse_unfit(contest: Contest, engines: EngineTurns) -> None:
    """Check before the first call what would end the comparison later.

    Raises:
        ConfigError: If a model, an adapter or a graph cannot do its part.
    """
    require(engines.idle(contest.judge), "judge", "json_schema")
    for policy in contest.policies:
        if policy.adapter:
            model = engines.idle(policy.model)
            require(model, policy.name, "adapters")
            if not policy.model.base_url:  # at an address, only the servers know the model
                check_adapter(policy.adapter, model.model)
        if policy.graph:
            policy_graph(policy)


def _ignored(stage: str) -> None:
    """Ignore the end of a stage: the default where nobody observes."""


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """Does the work: every text, score and comparison that is not in the results yet."""

    contest: Contest
    engines: EngineTurns
    results: PolicyResults
    budget: Budget
    recorder: Recorder | None = None
    on_stage: Callable[[str], None] = _ignored
    """Called with each of `STAGES` as it ends."""

    async def run(self) -> PolicyReport:
        """Do the missing work, retry what failed before, and measure.

        Raises:
            BudgetReached: If there is nothing left to spend.
            QuillError: If a policy has given no text at all.
        """
        for policy in self.contest.in_turn:
            await self._write_all(policy)
        self.on_stage("write")
        with recorded_as(self.recorder, "judge"):
            await self._score_all()
            self.on_stage("score")
            await self._compare_all()
            self.on_stage("compare")
        report = self._report()
        self.on_stage("measure")
        return report

    async def _write_all(self, policy: Policy) -> None:
        due = [place for place in self.contest.places(policy) if not self.results.has_text(place)]
        if not due:
            return
        model = await self.engines.take(policy.model, policy.adapter, _version(policy))
        options = self.contest.options
        writer = writer_for(
            policy,
            model,
            budget=self.budget,
            recorder=self.recorder,
            seed=options.seed,
            measures=options.model_dump(include=set(MEASURES)),
            reading=options.reading,
        )
        await for_each(due, lambda place: self._write(policy, writer, place), AT_ONCE)
        self._refuse_silence(policy)

    async def _write(self, policy: Policy, writer: Writer, place: TextKey) -> None:
        _, prompt, number = place
        tokens = self._dearest(prompt, number) if policy.at_equal_tokens else None
        if tokens == 0:
            reason = "no other policy has a text here whose tokens were counted"
            text = WrittenText(policy=place[0], prompt=prompt, number=number, failure=reason)
        else:
            text = await writer.write(self.contest.prompt(prompt), number, tokens)
        self.results.texts.add(text)

    def _dearest(self, prompt: str, number: int) -> int:
        """Tokens that the most expensive policy spent on this text of a prompt; 0 for none."""
        spenders = (each.name for each in self.contest.policies if not each.at_equal_tokens)
        rows = (self.results.texts.rows.get((name, prompt, number)) for name in spenders)
        return max((row.tokens for row in rows if row and row.failure is None), default=0)

    async def _score_all(self) -> None:
        scores = self.results.scores
        due = [place for place in self._written() if _is_due(scores.rows.get(place))]
        if not due:
            return
        judge = PromptedJudge((await self._judge(),), self.contest.options.samples)

        async def score(place: TextKey) -> None:
            text = self.results.texts.rows[place]
            scores.add(await score_text(text, self.contest.prompt(text.prompt), judge))

        await for_each(due, score, AT_ONCE)
        _refuse_mute_judge(scores.rows.values())

    async def _compare_all(self) -> None:
        texts, comparisons = self.results.texts.rows, self.results.comparisons
        due = [place for place in self._pairs() if _is_due(comparisons.rows.get(place))]
        if not due:
            return
        judge = PromptedPairJudge(await self._judge())

        async def compare(place: TextKey) -> None:
            prompt = self.contest.prompt(place[1])
            opposite = texts[self._opposite(place)]
            comparisons.add(await compare_texts(texts[place], opposite, prompt, judge))

        await for_each(due, compare, AT_ONCE)
        _refuse_mute_judge(comparisons.rows.values())

    async def _judge(self) -> Role:
        model = await self.engines.take(self.contest.judge)
        return Role("judge", model, self.contest.options.seed, self.budget)

    def _written(self) -> list[TextKey]:
        return [place for place in self.contest.all_places if self.results.has_text(place)]

    def _pairs(self) -> list[TextKey]:
        """The texts of the other policies that have a counterpart of the reference."""
        return [
            place
            for place in self._written()
            if place[0] != self.contest.reference.name
            and self.results.has_text(self._opposite(place))
        ]

    def _opposite(self, place: TextKey) -> TextKey:
        return self.contest.reference.name, place[1], place[2]

    def _refuse_silence(self, policy: Policy) -> None:
        """Raise if a policy gave no text: the comparison would lack it."""
        places = self.contest.places(policy)
        if any(self.results.has_text(place) for place in places):
            return
        kind = QuillError if policy.graph else BackendError
        reason = self.results.texts.rows[places[0]].failure
        raise kind(f"policy {policy.name} ({policy.spec}) gave no text at all: {reason}")

    def _report(self) -> PolicyReport:
        contest, results = self.contest, self.results
        return policy_report(
            [self._entrant(each) for each in contest.policies],
            self._in_order(results.texts.rows),
            self._in_order(results.scores.rows),
            self._in_order(results.comparisons.rows),
            about={
                "data": contest.data,
                "judge": f"{contest.judge.kind}:{contest.judge.model}",
                "criteria": contest.criteria,
                "texts": contest.options.texts,
                "notes": contest.notes,
            },
            excluded=contest.excluded,
            seed=contest.options.seed,
        )

    def _in_order(self, rows: Mapping[TextKey, T]) -> list[T]:
        """Sort rows by policy and prompt: they arrive in any order, and the bootstrap needs it."""
        return [rows[place] for place in self.contest.all_places if place in rows]

    def _entrant(self, policy: Policy) -> Entrant:
        own = self.results.of(policy.name)
        return Entrant(
            name=policy.name,
            spec=policy.spec,
            texts=sum(row.failure is None for row in own),
            tokens=sum(row.tokens for row in own),
            adapter=str(policy.adapter) if policy.adapter else None,
            trained_in=str(policy.training.folder) if policy.training else None,
        )


def _refuse_mute_judge(rows: Collection[ScoredText | ComparedTexts]) -> None:
    """Raise if no answer of the judge is readable."""
    reasons = [row.missing for row in rows]
    if reasons and None not in reasons:
        raise BackendError(f"the judge has not given a single answer: {reasons[0]}")


def _is_due(row: ScoredText | ComparedTexts | None) -> bool:
    """Whether a row is missing, or lacks what the judge left out."""
    return row is None or row.missing is not None


def _version(policy: Policy) -> str:
    """Name of a policy's weights in traces."""
    return f"policy-{policy.name}" if policy.adapter else "base"
