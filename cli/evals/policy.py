"""`quillgraph eval policy`: models, adapters and graphs compared on the same prompts."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import ValidationError
from rich.console import Console

from quillgraph.agents.domain import Value, WritingTask
from quillgraph.agents.judges import is_scorer
from quillgraph.backends import require
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, InputError, nearest
from quillgraph.backends.spec import BackendSpec
from quillgraph.backends.weights import check_adapter
from quillgraph.cli.display.evals import picture
from quillgraph.cli.display.policies import (
    against_table,
    exclusions,
    legend,
    policies_table,
    write_plot,
)
from quillgraph.cli.display.terminal import visible
from quillgraph.cli.evals.policy_work import Comparing
from quillgraph.cli.session.engines import Engines, with_backend
from quillgraph.cli.session.folder import RunFolder, alone_in, goes_on_as_begun
from quillgraph.cli.session.inputs import read_criteria
from quillgraph.cli.session.progress import log_shown, plain_console
from quillgraph.cli.session.settings import Settings, load_settings
from quillgraph.cli.session.supervisor import supervise
from quillgraph.cli.session.turns import Turns
from quillgraph.evals import RubricRequest, load
from quillgraph.evals.data import prompts_of
from quillgraph.evals.judges import requirement_of, unmet
from quillgraph.evals.policies import (
    Contest,
    Policy,
    PolicyReport,
    Reading,
    measure_names,
    policy_graph,
    read_policies,
    refuse_training_judge,
    reservations,
    seen_in_training,
    sharing,
)
from quillgraph.graphs.episodes import parts_of

COMPARED = "compared"
"""Where `run.json` says what a comparison is of."""

ASKED = "asked"
"""Where it says what the command line asked for."""


class Asked(Value):
    """What the command line wants compared; kept with the run, so that it can go on."""

    policies: tuple[str, ...]
    data: Path | None
    data_format: str | None
    criteria: Path | None
    limit: int | None
    texts: int
    reading: str
    baselines: bool
    allow_same_judge: bool

    def found_anywhere(self) -> "Asked":
        """The same with files that are found from any working directory."""
        files = {"data": self.data, "criteria": self.criteria}
        return self.model_copy(update={k: v.resolve() for k, v in files.items() if v})


@dataclass(frozen=True, slots=True)
class Shown:
    """What is made of a comparison once it is there."""

    require: Sequence[str]
    plot: Path | None
    as_json: bool


def begin_eval_policy(asked: Asked, settings: Settings, shown: Shown) -> None:
    """Compare policies and show what was found.

    Raises:
        QuillError: After what was finished has been written to the run folder.
        Exit: With status 1 if a requirement is not met.
    """
    said = plain_console(sys.stderr)
    settings = _with_judge(settings, said)
    contest, turns = _prepared(asked, settings, shown, said)
    title = f"eval policy {contest.data}"
    folder = RunFolder(settings.out, title, settings.model_dump(mode="json"))
    kept = asked.found_anywhere().model_dump(mode="json")
    folder.note(**{COMPARED: _facts(contest, settings), ASKED: kept})
    folder.write_lines("prompts.jsonl", contest.prompts)
    with alone_in(folder.path):
        _compare(contest, settings, turns, folder, shown)


def resume_eval_policy(
    path: Path, given: Mapping[str, Any], limits: Mapping[str, Any], shown: Shown
) -> None:
    """Go on with a comparison that ended early; texts and scores that are there stay.

    Args:
        path: The run's folder.
        given: What else the command line says; nothing may, a run goes on as it was begun.
        limits: Budgets and time that may be given anew.
        shown: What to make of the result.

    Raises:
        ConfigError: If something is given that the run has begun without, or its data changed.
        InputError: If no such run is kept there.
        Exit: With status 1 if a requirement is not met.
    """
    goes_on_as_begun(given)
    said = plain_console(sys.stderr)
    with alone_in(path):
        folder = RunFolder.reopened(path)
        try:
            asked = Asked.model_validate(folder.facts.get(ASKED))
        except ValidationError as error:
            raise InputError(f"expected a run of `quillgraph eval policy` in {path}") from error
        changed = {name: value for name, value in limits.items() if value is not None}
        settings = load_settings(None, **{**folder.facts["settings"], **changed})
        contest, turns = _prepared(asked, settings, shown, said)
        _refuse_other(folder, _facts(contest, settings))
        _compare(contest, settings, turns, folder, shown)


def _with_judge(settings: Settings, said: Console) -> Settings:
    """Name the judge as the backend: the model of a comparison that is not a policy."""
    if others := sorted(set(settings.roles) - {"judge"}):
        raise ConfigError(f"unknown role {others[0]!r}: {nearest(others[0], ['judge'])}")
    if judge := settings.roles.get("judge"):
        if is_scorer(judge):
            raise ConfigError(
                f"the judge of a comparison also says which of two texts is better, and {judge!r} "
                "gives scores alone; name a model, for example --judge openai:MODEL"
            )
        return settings.model_copy(update={"backend": judge, "roles": {}})
    return with_backend(settings, said)


def _contest(asked: Asked, settings: Settings) -> Contest:
    if asked.data is None:
        raise InputError("expected --data FILE with requests, got none")
    for name, number in (("limit", asked.limit), ("texts", asked.texts)):
        if number is not None and number < 1:
            raise InputError(f"expected --{name} of 1 or more, got {number}")
    reading = _reading(asked.reading)
    entrants, judge = (
        read_policies(asked.policies, baselines=asked.baselines),
        str(settings.backend),
    )
    if not asked.allow_same_judge:
        refuse_training_judge(entrants, judge)
    loaded = load(asked.data, format=asked.data_format)
    if not loaded.requests:
        raise InputError(
            f"{asked.data} ({loaded.format}) holds judgements of people and no requests to write to"
        )
    chosen = read_criteria(asked.criteria).criteria if asked.criteria else None
    prompts, excluded = prompts_of(loaded.requests, chosen, limit=asked.limit, seed=settings.seed)
    if loaded.skipped:
        excluded["records that could not be read"] = len(loaded.skipped)
    tasks = [prompt.task for prompt in prompts]
    given = [each for each in entrants if not each.at_equal_tokens]
    return Contest(
        data=asked.data.name,
        data_format=loaded.format,
        prompts=prompts,
        criteria=_criteria_told(asked.criteria, loaded.requests),
        policies=entrants,
        judge=sharing(BackendSpec.parse(judge), entrants),
        texts=asked.texts,
        reading=reading,
        notes=(*reservations(given, judge), *_caveats(entrants, tasks, reading)),
        excluded=excluded,
    )


def _criteria_told(file: Path | None, requests: Sequence[RubricRequest]) -> str:
    own = [bool(request.criteria) for request in requests]
    if file or not any(own):
        return file.name if file else "the generic rubric"
    return "the requests' own criteria" + ("" if all(own) else ", else the generic rubric")


def _reading(said: str) -> Reading:
    for reading in get_args(Reading):
        if said == reading:
            known: Reading = reading
            return known
    raise ConfigError(f"expected --prompt request or writer, got {said!r}")


def _caveats(
    entrants: Sequence[Policy], tasks: Sequence[WritingTask], reading: Reading
) -> Iterator[str]:
    """What is unequal between the policies, judge aside."""
    graphs = [each for each in entrants if each.graph]
    if graphs and len(graphs) < len(entrants) and reading == "request":
        yield "Models read the bare request, and graphs prompts of their own; see --prompt writer."
    if taking := [each.name for each in graphs if _takes_criteria(each)]:
        yield f"{', '.join(taking)} wrote under the criteria that texts are scored by."
    if equal := [each.name for each in entrants if each.at_equal_tokens]:
        yield (
            f"{', '.join(equal)} may spend on a text what the dearest of the others spent on it, "
            "and write one draft at least."
        )
    for each in (e for e in entrants if e.training and not e.at_equal_tokens):
        assert each.training is not None
        if each.training.prompt != reading and not each.graph:
            yield (
                f"Policy {each.name} was trained on the prompt {each.training.prompt!r}, and reads "
                f"{reading!r} here."
            )
        if seen := seen_in_training(each, tasks, _trained_on(each)):
            yield seen


def _takes_criteria(policy: Policy) -> bool:
    return "criteria_set" in parts_of(policy_graph(policy), "input_schema")


def _trained_on(policy: Policy) -> list[str] | None:
    """Hashes of the requests that a policy was trained on; None where the file is gone."""
    from quillgraph.rl.config import read_requests

    assert policy.training is not None
    try:
        return [task.request_hash for task in read_requests(policy.training.prompts).train]
    except InputError:
        return None


def _check(contest: Contest, turns: Turns) -> None:
    """Find out before the first call what would end the run later."""
    require(turns.idle(contest.judge), "judge", "json_schema")
    for policy in contest.policies:
        if policy.adapter:
            model = turns.idle(policy.model)
            require(model, policy.name, "adapters")
            if not policy.model.base_url:  # at an address, only the servers know the model
                check_adapter(policy.adapter, model.model)
        if policy.graph:
            policy_graph(policy)


def _prepared(
    asked: Asked, settings: Settings, shown: Shown, said: Console
) -> tuple[Contest, Turns]:
    """What is compared, and the models; whatever would end the run later ends it here."""
    contest = _contest(asked, settings)
    for each in shown.require:
        requirement_of(each, measure_names([policy.name for policy in contest.policies]))
    if shown.plot:
        picture()
    with log_shown(said):
        turns = Turns([*(policy.model for policy in contest.policies), contest.judge])
    _check(contest, turns)
    for note in contest.notes:
        said.print(f"note: {note}")
    return contest, turns


def _facts(contest: Contest, settings: Settings) -> dict[str, Any]:
    deciding = settings.model_dump(
        mode="json", include={"seed", "text_tokens", "samples", "rounds"}
    )
    return {**contest.facts(), **deciding}


def _refuse_other(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    begun: Mapping[str, Any] = folder.facts[COMPARED]
    if other := [name for name in facts if begun.get(name) != facts[name]]:
        raise ConfigError(
            f"the run in {folder.path} was begun with {other[0]} {begun.get(other[0])!r}, now it "
            f"is {facts[other[0]]!r}; go on as it was begun, or start a new one"
        )


def _compare(
    contest: Contest, settings: Settings, turns: Turns, folder: RunFolder, shown: Shown
) -> None:
    work = Comparing(contest, settings, folder.path, turns)
    chats = {f"policy {n}": chat for n, chat in enumerate(turns.chats)}
    engines = Engines(turns.idle(contest.judge), chats, LexicalEmbeddings(), at_once=False)
    supervise(work, engines, folder, timeout=settings.timeout)
    assert work.report is not None
    _show(work, work.report, folder, shown)
    missed = [told for each in shown.require if (told := unmet(each, work.report.flat))]
    for told in missed:
        plain_console(sys.stderr).print(f"not met: {told}")
    if missed:
        raise typer.Exit(1)


def _show(work: Comparing, report: PolicyReport, folder: RunFolder, shown: Shown) -> None:
    if shown.plot:
        write_plot(report, shown.plot)
    if shown.as_json:
        told = {"run": str(folder.path), **work.result()}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(legend(report) + "\n")
        console = Console()
        console.print(policies_table(report))
        if len(report.policies) > 1:
            console.print(against_table(report))
        sys.stdout.write(exclusions(report) + "\n")
    plain_console(sys.stderr).print(visible(f"run folder: {folder.path}"), style="dim")
