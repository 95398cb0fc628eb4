"""`quillgraph eval` and `scorer`. Heavy packages are imported inside the commands."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session.options import STUDY, AsJson, Choices, takes

eval_app = typer.Typer(
    help="Measure judges against people, and policies against one another.", no_args_is_help=True
)

Format = Annotated[
    str | None,
    typer.Option("--format", help="Format of the file; default: by its fields.", metavar="F"),
]
Limit = Annotated[
    int | None, typer.Option(help="Use only so many records, drawn by the seed.", metavar="N")
]
Resume = Annotated[
    Path | None,
    typer.Option(
        help="Go on with a comparison that ended early; what is done stays done.",
        metavar="RUN_DIR",
    ),
]
LIMITS = ("max_calls", "max_tokens_total", "timeout", "config")


@dataclass(frozen=True, slots=True)
class CriteriaQuestion:
    """The options of `eval criteria`: what it compares."""

    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of requests with people's criteria (BiGGen, WritingBench, or JSONL with "
            "`request` and `criteria`), or of texts that people have judged; may be repeated.",
            metavar="FILE",
        ),
    ] = None
    data_format: Format = None
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure the study without this stage: drafts, comparison, saturation, "
            "axial, selective or validation; may be repeated.",
            metavar="STAGE",
        ),
    ] = None
    runs: Annotated[
        int,
        typer.Option(help="Independent runs; two or more tell how far criteria come again."),
    ] = 1
    limit: Annotated[
        int | None, typer.Option(help="Use only so many requests, drawn by the seed.", metavar="N")
    ] = None


@eval_app.command("criteria")
@takes(
    *("backend", "roles", *STUDY, "samples", "contrast", "seed", "out", *LIMITS),
    example="judge=openai:gpt-5-mini",
)
def eval_criteria(
    *,
    question: CriteriaQuestion,
    resume: Resume = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the measures of all sources.", metavar="PNG")
    ] = None,
    choices: Choices,
    as_json: AsJson = False,
) -> None:
    """Compare automatic criteria with people's, a fixed rubric, and criteria from one prompt.

    Where there are texts that people have judged, one judge scores them by the criteria of each
    source. `--role judge=SPEC` also has that judge confirm which criteria are the same.
    """
    from quillgraph.cli.evals.criteria import (
        CriteriaInquiry,
        begin_eval_criteria,
        resume_eval_criteria,
    )
    from quillgraph.cli.evals.evaluation import Output, non_defaults

    output, options = Output(plot, as_json), non_defaults(question)
    if resume:
        resume_eval_criteria(resume, {**choices.others, **options}, choices.limits, output)
    else:
        begin_eval_criteria(CriteriaInquiry(**options), choices.settings(), output)


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """The options of `eval judge`: the human data and the limits."""

    data: Annotated[
        Path | None,
        typer.Option(
            help="File of human judgements: WQRM, LAMP, or JSONL with `text` and `score`, or "
            "`left`, `right` and `preferred`.",
            metavar="FILE",
        ),
    ] = None
    data_format: Format = None
    criteria: Annotated[
        Path | None,
        typer.Option(
            "--criteria",
            help="criteria.json to judge by; default: a fixed rubric that fits any text.",
            metavar="FILE",
        ),
    ] = None
    limit: Limit = None
    probes: Annotated[
        int, typer.Option(help="Texts to probe the judge with; 0 for no probes.", metavar="N")
    ] = 12
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 unless this holds, such as pair_accuracy>=0.6; may be repeated.",
            metavar="EXPR",
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option(help="Draw the calibration curve.", metavar="PNG")
    ] = None


@eval_app.command("judge")
@takes(
    *("backend", "roles", "judge", "samples", "seed", "out", *LIMITS),
    example="judge=openai:gpt-5-mini",
)
def eval_judge(*, question: JudgeQuestion, choices: Choices, as_json: AsJson = False) -> None:
    """Compare a judge with human scores or preferences, and probe it for known failures."""
    from quillgraph.cli.evals.evaluation import Output
    from quillgraph.cli.evals.judge import read_evidence, run_eval_judge

    settings = choices.settings()
    evidence = read_evidence(
        question.data,
        question.data_format,
        question.criteria,
        limit=question.limit,
        probes=question.probes,
    )
    run_eval_judge(evidence, settings, Output(question.plot, as_json, question.require or ()))


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """The options of `eval policy`: the policies and the prompts."""

    policies: Annotated[
        list[str] | None,
        typer.Argument(
            help="[NAME=][GRAPH[?option=value]@]MODEL, the first of which the others are compared "
            "with. MODEL is KIND:MODEL, KIND:MODEL+ADAPTER, or the folder of a training run.",
            metavar="POLICY...",
        ),
    ] = None
    data: Annotated[
        Path | None,
        typer.Option(
            help="File of requests: WritingBench, BiGGen, Arena-Hard, LongBench-Write, or JSONL "
            "with `request`, and `criteria` if there are any.",
            metavar="FILE",
        ),
    ] = None
    data_format: Format = None
    criteria: Annotated[
        Path | None,
        typer.Option(
            "--criteria",
            help="criteria.json to score by; default: what came with a request, else a fixed "
            "rubric that fits any text.",
            metavar="FILE",
        ),
    ] = None
    limit: Limit = None
    texts: Annotated[
        int, typer.Option(help="Texts of each policy for each request.", metavar="N")
    ] = 2
    reading: Annotated[
        str,
        typer.Option(
            "--prompt",
            help="What a model is asked: the bare `request`, or the prompt of the `writer`.",
            metavar="KIND",
        ),
    ] = "request"
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Add best-of-N and Self-Refine on the first one's model, at the tokens of the "
            "most expensive of the others.",
        ),
    ] = False
    judge: Annotated[
        str | None,
        typer.Option(help="Model that scores and compares the texts.", metavar="SPEC"),
    ] = None
    allow_same_judge: Annotated[
        bool,
        typer.Option("--allow-same-judge", help="Take a judge that has trained a policy."),
    ] = False


@eval_app.command("policy")
@takes(
    *("samples", "rounds", "text_tokens", "seed", "out", "resume"),
    *LIMITS,
)
def eval_policy(
    *,
    question: PolicyQuestion,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 unless this holds, such as B.win_rate>=0.5 or B-A.soft>0; may be "
            "repeated.",
            metavar="EXPR",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the measures and the wins.", metavar="PNG")
    ] = None,
    choices: Choices,
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Compare models, adapters and graphs on the same requests."""
    from quillgraph.cli.evals.evaluation import Output, non_defaults
    from quillgraph.cli.evals.policy import PolicyInquiry, begin_eval_policy, resume_eval_policy

    output, options = Output(plot, as_json, require or ()), non_defaults(question)
    if judge := options.pop("judge", None):
        choices = replace(choices, values={**choices.values, "roles": {"judge": judge}})
    if resume:
        resume_eval_policy(resume, {**choices.others, **options}, choices.limits, output)
    else:
        begin_eval_policy(PolicyInquiry(**options), choices.settings(), output)


scorer_app = typer.Typer(help="Judges that are trained on people's scores.", no_args_is_help=True)


@scorer_app.command("train")
@takes("seed")
def train_scorer(
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of texts that people have scored, or of requests with criteria and a text "
            "that meets them (BiGGen-Bench); both are needed, so give the option twice or more.",
            metavar="FILE",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the scorer.", metavar="DIR")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Folder to keep in what the model makes of each text, so that it is read once; "
            "default: one in the user's cache.",
            metavar="DIR",
        ),
    ] = None,
    choices: Choices,
    as_json: AsJson = False,
) -> None:
    """Train a scorer on human judgements; `--judge scorer:DIR` then judges by it.

    A frozen SmolLM2 reads each text once, which takes a CPU about half a second each.
    """
    from quillgraph.cli.evals.scorer import run_train_scorer

    seed = int(choices.values.get("seed", 0))
    run_train_scorer(data or [], out, features, seed=seed, as_json=as_json)


@scorer_app.command("list")
@takes()
def list_scorers(*, as_json: AsJson = False) -> None:
    """List the scorers that come with the package."""
    from quillgraph.cli.evals.scorer import show_scorers

    show_scorers(as_json=as_json)
