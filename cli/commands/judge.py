"""`quillgraph judge`: scores of one text with their evidence, and the reward with its parts."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.judges import MOST_TEXT_CHARS
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Budget, Recorder
from quillgraph.backends.errors import InputError, ReplyError
from quillgraph.cli.display.episode import judgement_told
from quillgraph.cli.session.budget import budget_of
from quillgraph.cli.session.engines import JUDGES, Engines, connected, recorded, with_backend
from quillgraph.cli.session.folder import RunFolder
from quillgraph.cli.session.inputs import read_criteria, read_request, read_text
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import Settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.graphs.prebuilt import WRITING_ROLES, Workshop
from quillgraph.graphs.prebuilt import judge as judging

STAGES = {"start": "starting the model", "settle": "judging"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged, by what, and what was asked for."""

    task: WritingTask
    criteria_set: CriteriaSet
    text: str


@dataclass(slots=True)
class Assessing:
    """The work of judging a text."""

    case: Case
    settings: Settings
    budget: Budget
    judgement: Judgement | None = None
    reward: Reward | None = None

    @property
    def stages(self) -> Mapping[str, str]:
        """There is not much to wait for."""
        return STAGES

    async def run(self, engines: Engines, recorder: Recorder, watch: ProgressWatch) -> None:
        """Run the graph."""
        workshop = Workshop.of(
            engines.common,
            seed=self.settings.seed,
            budget=self.budget,
            roles=dict(engines.cast(WRITING_ROLES)),
            judges=engines.judges,
            samples=self.settings.samples,
        )
        found = (
            await judging.build()
            .compile()
            .ainvoke(
                judging.Submission(
                    task=self.case.task,
                    criteria_set=self.case.criteria_set,
                    text=self.case.text,
                ),
                {"callbacks": [recorder]},
                context=workshop,
            )
        )
        watch.finished("settle")
        self.judgement, self.reward = found["judgement"], found["reward"]
        if self.judgement.missing and not self.judgement.verdicts:
            lost = found["dropped"][0].text if found["dropped"] else ""
            raise ReplyError("a verdict on any criterion from the judge", lost)

    def keep(self, folder: RunFolder) -> None:
        """Write the judgement and the reward."""
        if self.judgement:
            folder.write_json("judgement.json", self.result())

    def reached(self) -> str:
        """One text has a judgement or it has none."""
        return "reached: the judgement" if self.judgement else "reached: nothing yet"

    def result(self) -> dict[str, object]:
        """Judgement and reward, for machines."""
        return {"judgement": self.judgement, "reward": self.reward}


def read_submission(
    criteria: Path | None, text: Path | None, request: str | None, file: Path | None
) -> Case:
    """Read the criteria, the text and the request that they are about.

    Raises:
        InputError: If one of them is missing, cannot be read, or does not belong to the others.
    """
    if criteria is None or text is None:
        missing = "--criteria FILE" if criteria is None else "--text FILE"
        raise InputError(f"expected {missing}, got none; judge needs both criteria and a text")
    criteria_set, words = read_criteria(criteria), read_text(text)
    if len(words) > MOST_TEXT_CHARS:
        raise InputError(
            f"expected a text of at most {MOST_TEXT_CHARS:,} characters in {text}, got "
            f"{len(words):,}; judge its chapters one by one"
        )
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
    return Case(task, criteria_set, words)


def run_judge(case: Case, settings: Settings, *, as_json: bool) -> None:
    """Judge a text and show what was found.

    Raises:
        QuillError: After what was finished has been written to the run folder.
    """
    said = plain_console(sys.stderr)
    budget = budget_of(settings, [judging.build()])
    settings = with_backend(settings, said, playing=JUDGES)
    settings = settings.model_copy(update={"embeddings": "lexical"})
    engines = connected(settings, WRITING_ROLES, said, playing=JUDGES)
    folder = RunFolder(settings.out, case.task.request, settings.model_dump(mode="json"))
    folder.write_text("request.txt", case.task.request)
    folder.write_text("text.txt", case.text)
    folder.write_json("criteria.json", case.criteria_set)
    work = Assessing(case, settings, budget)
    with recorded(engines, settings) as engines:
        supervise(work, engines, folder, budget, timeout=settings.timeout)
    assert work.judgement is not None
    assert work.reward is not None
    if as_json:
        dumped = {
            "run": str(folder.path),
            "judgement": work.judgement.model_dump(mode="json"),
            "reward": work.reward.model_dump(mode="json"),
        }
        sys.stdout.write(json.dumps(dumped, ensure_ascii=False) + "\n")
    else:
        Console().print(judgement_told(work.judgement, work.reward, case.criteria_set))
    said.print(f"run folder: {folder.path}", style="dim")
