"""Compares sources of criteria: elicits them, matches them with people's, judges texts by them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import Field

from quillgraph.agents.domain import Value
from quillgraph.agents.judgements import text_hash
from quillgraph.agents.judges import Judge, PromptedJudge
from quillgraph.agents.role import Role
from quillgraph.backends import Budget
from quillgraph.backends.errors import BackendError, ConfigError, nearest
from quillgraph.evals.concurrency import for_each
from quillgraph.evals.criteria.parity import score_case_text
from quillgraph.evals.criteria.report import CriteriaReport, criteria_report
from quillgraph.evals.criteria.results import CriteriaResults, Matched
from quillgraph.evals.criteria.sources import (
    HUMAN,
    ONE_SHOT,
    OURS,
    CriteriaSource,
    elicit,
    generic_source,
    human_source,
    one_shot_source,
    study_source,
)
from quillgraph.evals.data.cases import Case, Cases, cases_of
from quillgraph.evals.data.loader import Loaded
from quillgraph.evals.measures.matching import Confirm, confirmed_by, matched_overlap, wordings
from quillgraph.graphs.episodes import cast
from quillgraph.graphs.study import ROLES, Study

AT_ONCE = 8
"""Requests in work at a time. Each engine sets its own limit of concurrent calls."""

JUDGE = "judge"
"""The role that scores texts and confirms which criteria are the same."""

NEXT_SEED = 1_000_003
"""Added to the seed for each further run."""


class CriteriaOptions(Value):
    """How sources of criteria are compared."""

    without: tuple[str, ...] = ()
    """Stages of the study to ablate: each adds a source that leaves it out."""
    runs: int = Field(default=1, ge=1)
    """Runs of each source whose criteria vary. All measures use the first run; the others show how
    repeatable it is."""
    seed: int = 0
    samples: int = Field(default=2, ge=1)
    """Votes of the judge on each criterion."""
    contrast: bool = False
    """Whether the study shifts weight to criteria that have separated texts."""
    drafts: int = Field(default=4, ge=0)
    draft_tokens: int = Field(default=160, ge=1)

    @property
    def seeds(self) -> list[int]:
        """The seed of each run."""
        return [self.seed + run * NEXT_SEED for run in range(self.runs)]


def _ignored(stage: str) -> None:
    """Ignore the end of a stage: the default where nobody observes."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Follows a comparison of criteria."""

    listeners: Sequence[BaseCallbackHandler] = ()
    """Receive every call."""
    on_stage: Callable[[str], None] = _ignored
    """Called with `compare` and with `measure` as each ends."""


async def compare_criteria(
    data: Loaded | Cases,
    model: BaseChatModel,
    embeddings: Embeddings,
    *,
    roles: Mapping[str, BaseChatModel | Judge] | None = None,
    options: CriteriaOptions | None = None,
    results: CriteriaResults | None = None,
    budget: Budget | None = None,
    observer: Observer | None = None,
) -> CriteriaReport:
    """Compare automatic criteria with people's, a fixed rubric, and criteria from one prompt.

    If the data hold texts that people have judged, one judge scores them by the criteria of
    each source.

    Args:
        data: Requests with people's criteria, texts that people have judged, or both.
        model: Plays every role that is not named in `roles`.
        embeddings: Measure how near two criteria are.
        roles: Role of the study, or `judge`, to the model that plays it. A chat model as the judge
            also confirms which criteria are the same; otherwise nearness decides.
        options: How they are compared.
        results: Earlier results are kept and new ones added; None starts empty, in memory.
        budget: What the calls may spend; None sets no limit.
        observer: Receives the calls and the ends of stages.

    Returns:
        The measures of each source, and by how much our criteria improve a judge's agreement.

    Raises:
        ConfigError: On an unknown role or stage, or a model that lacks what it needs.
        InputError: If there are no requests.
        BudgetReached: If the budget is spent; `results` keep everything so far.
        BackendError: If the model gave no criteria for any request.
    """
    cases = cases_of([data]) if isinstance(data, Loaded) else data
    options, observer = options or CriteriaOptions(), observer or Observer()
    results = results or CriteriaResults.within()
    players = _Players(model, embeddings, roles or {}, options, budget or Budget())
    judge = players.judge if any(case.texts for case in cases.cases) else None
    sources = players.sources(cases)
    await CriteriaComparison(
        sources,
        embeddings,
        results,
        judge=judge,
        confirm=players.confirm,
        runs=options.runs,
        listeners=observer.listeners,
    ).run(cases.cases)
    _refuse_silence(results)
    observer.on_stage("compare")
    report = await criteria_report(
        cases.cases,
        [source.name for source in sources],
        results,
        embeddings,
        runs=options.runs,
        seed=options.seed,
        excluded=cases.excluded,
        data=cases.data,
        model=str(getattr(model, "model", type(model).__name__)),
        judge=judge.name if judge else None,
        confirmed=players.confirm is not None,
        placed_by=type(embeddings).__name__,
    )
    observer.on_stage("measure")
    return report


@dataclass(frozen=True, slots=True)
class _Players:
    """The models that elicit criteria, and the judge that applies them."""

    model: BaseChatModel
    embeddings: Embeddings
    roles: Mapping[str, BaseChatModel | Judge]
    options: CriteriaOptions
    budget: Budget

    @property
    def judge(self) -> Judge:
        """Scores texts."""
        player = self.roles.get(JUDGE, self.model)
        if not isinstance(player, BaseChatModel):
            return player
        role = Role(JUDGE, player, self.options.seed, self.budget)
        return PromptedJudge((role,), self.options.samples)

    @property
    def confirm(self) -> Confirm | None:
        """Says which criteria are the same; None if no chat model was named as the judge."""
        player = self.roles.get(JUDGE)
        if not isinstance(player, BaseChatModel):
            return None
        return confirmed_by(Role(JUDGE, player, self.options.seed, self.budget))

    def sources(self, cases: Cases) -> list[CriteriaSource]:
        """The columns of the table: ours, ours without each stage, the baselines, people."""
        seeds, stages = self.options.seeds, dict.fromkeys(self.options.without)
        studies = [self._study(seed) for seed in seeds]
        prompts = [Role("one_shot", self.model, seed, self.budget) for seed in seeds]
        people = [human_source()] if any(case.request.criteria for case in cases.cases) else []
        return [
            study_source(studies),
            *(study_source(studies, [stage]) for stage in stages),
            one_shot_source(prompts),
            generic_source(),
            *people,
        ]

    def _study(self, seed: int) -> Study:
        roles: dict[str, BaseChatModel] = {}
        for name, player in self.roles.items():
            if name == JUDGE:
                continue
            if name not in ROLES:
                raise ConfigError(f"unknown role {name!r}: {nearest(name, [*ROLES, JUDGE])}")
            if not isinstance(player, BaseChatModel):
                raise ConfigError(f"expected a chat model for role {name!r}, got {player!r}")
            roles[name] = player
        return cast(
            Study,
            self.model,
            embeddings=self.embeddings,
            seed=seed,
            budget=self.budget,
            roles=roles,
            contrast=self.options.contrast,
            drafts=self.options.drafts,
            draft_tokens=self.options.draft_tokens,
        )


def _refuse_silence(results: CriteriaResults) -> None:
    """Raise if the model gave no criteria for any request: nothing was measured.

    Raises:
        BackendError: With the first reason.
    """
    rows = [row for row in results.elicited.rows.values() if row.source in (OURS, ONE_SHOT)]
    if not any(row.found for row in rows):
        raise BackendError(f"there are no criteria for any request; first: {rows[0].reason}")


@dataclass(frozen=True, slots=True)
class CriteriaComparison:
    """Does the work that is not in the results yet."""

    sources: Sequence[CriteriaSource]
    embeddings: Embeddings
    results: CriteriaResults
    judge: Judge | None
    """Scores the texts; None if there are none."""
    confirm: Confirm | None = None
    """Says whether two near criteria are the same; if None, nearness decides."""
    runs: int = 1
    """Runs of each source whose criteria vary. All measures use the first run; the others show how
    repeatable it is."""
    at_once: int = AT_ONCE
    listeners: Sequence[BaseCallbackHandler] = ()
    """Receive the calls."""

    async def run(self, cases: Sequence[Case]) -> None:
        """Work on all requests, `AT_ONCE` at a time; store each result as soon as it exists.

        Retry what failed before. A model that fails on one request does not stop the
        others.

        Raises:
            BudgetReached: If no more may be spent.
        """
        await for_each(cases, self._one, self.at_once)

    async def _one(self, case: Case) -> None:
        for source in self.sources:
            for run in range(self.runs if source.varies else 1):
                before = self.results.elicited.rows.get((case.request.id, source.name, run))
                if before is None or before.found is None:
                    elicited = await elicit(source, case.request, run, self.listeners)
                    self.results.elicited.add(elicited)
        token = var_child_runnable_config.set({"callbacks": list(self.listeners)})
        try:
            for source in self.sources:
                await self._match(case, source.name)
                await self._score(case, source.name)
        finally:
            var_child_runnable_config.reset(token)

    async def _match(self, case: Case, source: str) -> None:
        own, people = (self.results.criteria(case.request.id, name) for name in (source, HUMAN))
        earlier = self.results.matched.rows.get((case.request.id, source))
        is_done = earlier is not None and not earlier.overlap.unread
        if is_done or source == HUMAN or not own or not people:
            return
        overlap = await matched_overlap(
            wordings(own), wordings(people), self.embeddings, self.confirm
        )
        self.results.matched.add(Matched(request=case.request.id, source=source, overlap=overlap))

    async def _score(self, case: Case, source: str) -> None:
        own = self.results.criteria(case.request.id, source)
        if self.judge is None or not own:
            return
        scores = self.results.scores(case, source)
        scored, judge = {row.text_sha for row in scores if row.judged is not None}, self.judge

        async def one(text: str) -> None:
            self.results.scored.add(await score_case_text(judge, case, text, source, own))

        await for_each([text for text in case.texts if text_hash(text) not in scored], one)
