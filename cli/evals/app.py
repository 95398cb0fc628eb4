"""`quillgraph eval`: what can be believed. What is heavy is imported inside the commands."""

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
    typer.Option("--format", help="Format of the file; default: told by its fields.", metavar="F"),
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
    """What `eval criteria` is to find out."""

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
    """Hold automatic criteria against people's, a fixed rubric, and criteria from one prompt.

    Where there are texts that people have judged, one judge scores them by the criteria of each
    source. `--role judge=SPEC` also has that judge confirm which criteria are the same.
    """
    from quillgraph.cli.evals.criteria import Asked, begin_eval_criteria, resume_eval_criteria

    if resume:
        other = {
            **choices.others,
            "data": question.data,
            "format": question.data_format,
            "without": question.without,
            "limit": question.limit,
            "runs": question.runs if question.runs != 1 else None,
        }
        resume_eval_criteria(resume, other, choices.limits, plot=plot, as_json=as_json)
        return
    asked = Asked(
        data=tuple(question.data or ()),
        data_format=question.data_format,
        without=tuple(question.without or ()),
        runs=question.runs,
        limit=question.limit,
    )
    begin_eval_criteria(asked, choices.settings(), plot=plot, as_json=as_json)


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """What `eval judge` holds the judge against."""

    data: Annotated[
        Path | None,
        typer.Option(
            help="File of human judgements: WQRM, LAMP, or JSONL with `text` and `score`, or "
            "`left`, `right` and `preferred`.",
            metavar="FILE",
        ),
    ] = None
    data_format: Format = None
    criteria_file: Annotated[
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
    """Hold a judge against human scores or preferences, and probe it for known failures."""
    from quillgraph.cli.evals.judge import Question, run_eval_judge

    settings = choices.settings()
    evidence = Question.of(
        question.data,
        question.data_format,
        question.criteria_file,
        limit=question.limit,
        probes=question.probes,
    )
    run_eval_judge(evidence, settings, question.require or [], plot=question.plot, as_json=as_json)


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """What `eval policy` compares, on what."""

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
    criteria_file: Annotated[
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
    prompt: Annotated[
        str,
        typer.Option(
            help="What a model is asked: the bare `request`, or the prompt of the `writer`.",
            metavar="KIND",
        ),
    ] = "request"
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Add best-of-N and Self-Refine on the first one's model, at the tokens of the "
            "dearest of the others.",
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
    from quillgraph.cli.evals.policy import (
        Asked,
        Shown,
        begin_eval_policy,
        resume_eval_policy,
    )

    if question.judge:
        choices = replace(choices, values={**choices.values, "roles": {"judge": question.judge}})
    shown = Shown(require=require or [], plot=plot, as_json=as_json)
    if resume:
        other = {
            **choices.others,
            "policies": question.policies,
            "data": question.data,
            "format": question.data_format,
            "criteria": question.criteria_file,
            "limit": question.limit,
            "texts": question.texts if question.texts != 2 else None,
            "prompt": question.prompt if question.prompt != "request" else None,
            "baselines": question.baselines or None,
            "allow_same_judge": question.allow_same_judge or None,
        }
        resume_eval_policy(resume, other, choices.limits, shown)
        return
    asked = Asked(
        policies=tuple(question.policies or ()),
        data=question.data,
        data_format=question.data_format,
        criteria=question.criteria_file,
        limit=question.limit,
        texts=question.texts,
        reading=question.prompt,
        baselines=question.baselines,
        allow_same_judge=question.allow_same_judge,
    )
    begin_eval_policy(asked, choices.settings(), shown)
