"""The contents of a run's page: the values of all files, joined for the reader."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from quillgraph.agents.domain import FORMAT_VERSION, CriteriaSet
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.backends.calls import CallRecord
from quillgraph.evals.report.attempts import AttemptRow, ShownText, reward_rows, score_rows, texts
from quillgraph.evals.report.calls import CallLog, call_log, shortened
from quillgraph.evals.report.folder import Folder, ReportFile, StudyFile, counted, mapping
from quillgraph.evals.report.grounding import Branch, Document, branches, documents
from quillgraph.evals.report.opposite import PolicyTexts, policy_texts
from quillgraph.evals.report.tables import Table, tables
from quillgraph.evals.report.training import (
    WATCH,
    BaseComparison,
    PlotPanel,
    Samples,
    Sign,
    checks,
    panels,
    samples,
    signs,
    warned,
)
from quillgraph.graphs.episodes import Attempt, Episode

WHOLE = 40
"""Episodes of a batch that are shown in full; the others appear in the list only."""

LONGEST_OUTPUT = 20_000
"""Characters shown of the output of a user's own graph."""

EPISODE_VERSION: int = Episode.model_fields["version"].default


class JudgementFile(BaseModel):
    """The result file of `quillgraph judge`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    judgement: Judgement
    reward: Reward


@dataclass(frozen=True, slots=True)
class ReportedRequest:
    """One request: its criteria, its texts and their outcomes."""

    scope: str
    """Prefix of every id in the page, since batches have many criteria `h1`."""
    title: str
    language: str | None
    criteria_set: CriteriaSet | None
    study: StudyFile
    branches: tuple[Branch, ...]
    documents: tuple[Document, ...]
    episode: Episode | None
    attempts: tuple[Attempt, ...]
    """The attempts of the episode; without an episode, all that the folder holds."""
    texts: tuple[ShownText, ...]
    scores: tuple[AttemptRow, ...]
    rewards: tuple[AttemptRow, ...]
    output: str | None
    """Further output of a graph, as JSON; None if there is none."""


@dataclass(frozen=True, slots=True)
class Training:
    """The logs of a training run."""

    panels: tuple[PlotPanel, ...]
    signs: tuple[Sign, ...]
    checks: tuple[BaseComparison, ...]
    warned: tuple[str, ...]
    least_win_rate: float | None
    samples: tuple[Samples, ...]
    requests: int
    """Requests with texts, of which `samples` shows the first."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a page."""

    name: str
    facts: Mapping[str, Any]
    notes: tuple[str, ...]
    works: tuple[ReportedRequest, ...]
    episodes: tuple[Episode, ...]
    """The episodes of a batch, including those not among `works`."""
    failures: tuple[Mapping[str, Any], ...]
    calls: CallLog
    training: Training | None
    tables: tuple[Table, ...]
    policies: PolicyTexts | None
    """Texts of policies; None for a run of another kind."""
    sources: tuple[ReportFile, ...]


def read_contents(path: Path) -> Contents:
    """Read a run's folder.

    Raises:
        InputError: If it holds no run. A missing, damaged or unfinished part becomes a note.
    """
    folder = Folder(path)
    facts = folder.facts()
    # in the order of the requests; the file has them in the order of their ends
    unordered = folder.lines("episodes.jsonl", Episode)
    episodes = tuple(sorted(unordered, key=lambda each: (len(each.id or ""), each.id or "")))
    single = _single(folder)
    # next to episodes the folder holds only the criteria, which each episode has
    works = [single] if single and not episodes else []
    works += [_of_episode(each, f"e{n}-") for n, each in enumerate(episodes[:WHOLE], 1)]
    return Contents(
        name=path.resolve().name,
        facts=facts,
        works=tuple(works),
        episodes=episodes,
        failures=tuple(folder.lines("failures.jsonl", dict[str, Any])),
        calls=call_log(folder.lines("calls.jsonl", CallRecord)),
        training=_training(folder, facts),
        tables=tuple(tables(folder.json("report.json"))),
        policies=policy_texts(folder),
        notes=(*_versions(episodes), *folder.notes),  # read last: every file adds to them
        sources=folder.sources,
    )


def _single(folder: Folder) -> ReportedRequest | None:
    """The request of a single run; None for a batch, a training run or an evaluation."""
    request = folder.text("request.txt")
    criteria_set = folder.value("criteria.json", CriteriaSet)
    study = folder.value("study.json", StudyFile)
    episode = folder.value("episode.json", Episode)
    if not (request or criteria_set or study or episode):
        return None
    attempts = episode.attempts if episode else _loose(folder)
    criteria_set = criteria_set or (episode.criteria_set if episode else None)
    request = request if request is not None or episode is None else episode.task.request
    folder.notes.extend(_versions([episode] if episode else [], criteria_set))
    return _work("", "The request", request, criteria_set, study or StudyFile(), attempts, episode)


def _of_episode(episode: Episode, scope: str) -> ReportedRequest:
    title = f"Request {episode.id}" if episode.id else "Request"
    return _work(
        scope,
        title,
        episode.task.request,
        episode.criteria_set,
        _study_in(episode),
        episode.attempts,
        episode,
    )


def _work(
    scope: str,
    title: str,
    request: str | None,
    criteria_set: CriteriaSet | None,
    study: StudyFile,
    attempts: tuple[Attempt, ...],
    episode: Episode | None,
) -> ReportedRequest:
    language = criteria_set.language if criteria_set else None
    return ReportedRequest(
        scope=scope,
        title=title,
        language=episode.task.language if episode else language,
        criteria_set=criteria_set,
        study=study,
        branches=branches(criteria_set, study) if criteria_set else (),
        documents=documents(request, study, criteria_set),
        episode=episode,
        attempts=attempts,
        texts=texts(attempts, episode.best if episode else None),
        scores=score_rows(criteria_set.criteria, attempts) if criteria_set and attempts else (),
        rewards=reward_rows(attempts),
        output=_output(episode) if episode and episode.output else None,
    )


def _output(episode: Episode) -> str:
    return shortened(json.dumps(episode.output, ensure_ascii=False, indent=1), LONGEST_OUTPUT)


def _loose(folder: Folder) -> tuple[Attempt, ...]:
    """Texts outside an episode: from a run that ended early, or from `quillgraph judge`."""
    if attempts := tuple(folder.lines("attempts.jsonl", Attempt)):
        return attempts
    file, text = folder.value("judgement.json", JudgementFile), folder.text("text.txt")
    if file is None or text is None:
        return ()
    judgement, worth = file.judgement, file.reward
    return (
        Attempt(
            number=0, parent=None, text=text, judgement=judgement, reward=worth, decision="first"
        ),
    )


def _study_in(episode: Episode) -> StudyFile:
    """The study in a graph's output, as the criteria graph returns it."""
    try:
        return StudyFile.model_validate(episode.output or {})
    except ValidationError:
        return StudyFile()  # somebody's own graph may mean another thing by `codes`


def _training(folder: Folder, facts: Mapping[str, Any]) -> Training | None:
    rows = list(folder.lines("metrics.jsonl", dict[str, Any]))
    texts, requests = samples(folder.lines("samples.jsonl", dict[str, Any]))
    if not texts:
        texts, requests = samples(folder.lines("rollouts.jsonl", dict[str, Any]))
    if not rows and not texts:
        return None
    guards = mapping(mapping(facts.get("settings")).get("guards"))
    least, groups = guards.get("least_win_rate"), panels(rows)
    least = float(least) if isinstance(least, int | float) else None
    return Training(
        panels=groups,
        signs=signs(groups),
        checks=checks(rows, least),
        warned=warned(folder.newest(WATCH)),
        least_win_rate=least,
        samples=texts,
        requests=requests,
    )


def _versions(
    episodes: Iterable[Episode], criteria_set: CriteriaSet | None = None
) -> Iterable[str]:
    newer = sum(episode.version > EPISODE_VERSION for episode in episodes)
    if newer:
        yield (
            f"{counted(newer, 'episode')} of a newer form than {EPISODE_VERSION}, which this page "
            "knows: shown as far as it could be read."
        )
    if criteria_set and criteria_set.version > FORMAT_VERSION:
        yield (
            f"The criteria are of form {criteria_set.version}, this page knows {FORMAT_VERSION}: "
            "shown as far as it could be read."
        )
