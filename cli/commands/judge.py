"""`quillgraph judge`: score one text, with evidence, reward and the reward's parts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from quillgraph.agents.criteria import read_criteria
from quillgraph.agents.judges import MOST_TEXT_CHARS
from quillgraph.agents.requests import writing_task
from quillgraph.agents.text import read_text
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import InputError
from quillgraph.cli.display.episode import judgement_lines
from quillgraph.cli.display.items import write_json
from quillgraph.cli.session.engines import budget_of, connected, recorded_run, with_backend
from quillgraph.cli.session.inputs import read_request
from quillgraph.cli.session.progress import announce, plain_console, watch_on
from quillgraph.cli.session.settings import Settings
from quillgraph.graphs.episodes import cast
from quillgraph.graphs.prebuilt import (
    WRITING_ROLES,
    Assessed,
    Submission,
    Workshop,
    judge_alone,
    refuse_silence,
    submitted,
)
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.supervision import JUDGES, Engines, RunFolder, Watch, supervise


@dataclass(slots=True)
class SubmissionWork:
    """Judges a text."""

    submission: Submission
    settings: Settings
    budget: Budget
    assessed: Assessed | None = None

    @property
    def stages(self) -> Mapping[str, str]:
        """The model's start, then the judgement."""
        return {"start": "starting the model", "settle": "judging"}

    async def run(self, engines: Engines, recorder: Recorder, watch: Watch) -> None:
        """Run the graph.

        Raises:
            ReplyError: If no verdict of the judge could be parsed.
        """
        workshop = cast(
            Workshop,
            engines.common,
            seed=self.settings.seed,
            budget=self.budget,
            roles=dict(engines.cast(WRITING_ROLES)),
            judges=engines.judges,
            samples=self.settings.samples,
        )
        self.assessed = await judge_alone(self.submission, workshop, recorder)
        watch.finished("settle")
        refuse_silence(self.assessed)

    def keep(self, folder: RunFolder) -> None:
        """Write the judgement and the reward."""
        if self.assessed:
            folder.write_json("judgement.json", self.result(self.assessed))

    def reached(self) -> str:
        """Say whether the text has a judgement yet."""
        return "reached: the judgement" if self.assessed else "reached: nothing yet"

    def result(self, assessed: Assessed) -> dict[str, object]:
        """Judgement, reward and what was not judged, as JSON values."""
        aside = submitted(self.submission).aside
        return {
            "judgement": assessed.judgement.model_dump(mode="json"),
            "reward": assessed.reward.model_dump(mode="json"),
            **({"aside": aside.model_dump(mode="json")} if aside else {}),
        }


def read_submission(
    criteria: Path | None, text: Path | None, request: str | None, file: Path | None
) -> Submission:
    """Read the criteria, the text, and their request.

    Raises:
        InputError: If one is missing or unreadable, if the criteria belong to another request, or
            if the text is thinking that was cut off.
    """
    if criteria is None or text is None:
        missing = "--criteria FILE" if criteria is None else "--text FILE"
        raise InputError(f"expected {missing}, got none; judge needs both criteria and a text")
    criteria_set, words = read_criteria(criteria), read_text(text)
    beside = criteria.with_name("request.txt")
    if request is None and file is None:
        if not beside.exists():
            raise InputError(
                f"expected --request or --file, since there is no request.txt beside {criteria}"
            )
        file = beside
    task = writing_task(read_request(request, file))
    if task.request_hash != criteria_set.request_hash:
        raise InputError(
            f"the criteria in {criteria} were made for another request than the one given; "
            "give the request that they were made for"
        )
    submission = Submission(task=task, criteria_set=criteria_set, text=words)
    reply = submitted(submission)
    if reply.text is None:
        raise InputError(f"expected a text to judge in {text}, got {reply.missing}")
    if len(reply.text) > MOST_TEXT_CHARS:
        raise InputError(
            f"expected a text of at most {MOST_TEXT_CHARS:,} characters in {text}, got "
            f"{len(reply.text):,}; judge its chapters one by one"
        )
    return submission


def run_judge(submission: Submission, settings: Settings, *, as_json: bool) -> None:
    """Judge a text and show the judgement.

    Raises:
        QuillError: When the run fails; finished work is already in the run folder.
    """
    console, request = plain_console(sys.stderr), submission["task"].request
    budget = budget_of(settings, [judging.build()])
    settings = with_backend(settings, console, playing=JUDGES)
    settings = settings.model_copy(update={"embeddings": "lexical"})
    engines = connected(settings, WRITING_ROLES, console, playing=JUDGES)
    folder = RunFolder(settings.out, request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", request)
    reply = submitted(submission)
    if reply.aside:
        parts = ", ".join(name.replace("_", " ") for name in reply.aside.model_dump())
        console.print(f"note: not judged, and kept in judgement.json: {parts}")
    folder.write_text("text.txt", reply.words)
    folder.write_json("criteria.json", submission["criteria_set"])
    work = SubmissionWork(submission, settings, budget)
    with recorded_run(settings, engines) as engines:
        supervise(work, engines, folder, budget, timeout=settings.timeout, watching=watch_on)
    assert work.assessed is not None
    if as_json:
        write_json({"run": str(folder.path), **work.result(work.assessed)})
    else:
        judgement, reward = work.assessed.judgement, work.assessed.reward
        Console().print(judgement_lines(judgement, reward, submission["criteria_set"]))
    announce(folder.path, console)
