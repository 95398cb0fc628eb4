"""`quillgraph eval`: what can be believed. What is heavy is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

eval_app = typer.Typer(
    help="Measure judges against people, and policies against one another.", no_args_is_help=True
)

Data = Annotated[
    Path | None,
    typer.Option(
        help="File of human judgements: WQRM, LAMP, or JSONL with `text` and `score`, or `left`, "
        "`right` and `preferred`.",
        metavar="FILE",
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Format of the file; default: told by its fields.", metavar="F"),
]
Limit = Annotated[
    int | None, typer.Option(help="Use only so many records, drawn by the seed.", metavar="N")
]
Probes = Annotated[
    int, typer.Option(help="Texts to probe the judge with; 0 for no probes.", metavar="N")
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with 1 unless this holds, such as pair_accuracy>=0.6; may be repeated.",
        metavar="EXPR",
    ),
]
Plot = Annotated[Path | None, typer.Option(help="Draw the calibration curve.", metavar="PNG")]


Resume = Annotated[
    Path | None,
    typer.Option(
        help="Go on with a comparison that ended early; what is done stays done.",
        metavar="RUN_DIR",
    ),
]


@eval_app.command("criteria")
def eval_criteria(
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of requests with people's criteria (BiGGen, WritingBench, or JSONL with "
            "`request` and `criteria`), or of texts that people have judged; may be repeated.",
            metavar="FILE",
        ),
    ] = None,
    data_format: Format = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure the study without this stage: drafts, comparison, saturation, "
            "axial, selective or validation; may be repeated.",
            metavar="STAGE",
        ),
    ] = None,
    runs: Annotated[
        int,
        typer.Option(help="Independent runs; two or more tell how far criteria come again."),
    ] = 1,
    limit: Annotated[
        int | None, typer.Option(help="Use only so many requests, drawn by the seed.", metavar="N")
    ] = None,
    resume: Resume = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the measures of all sources.", metavar="PNG")
    ] = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("judge=openai:gpt-5-mini")] = None,
    embeddings: options.Embeddings = None,
    drafts: options.Drafts = None,
    draft_tokens: options.DraftTokens = None,
    samples: options.Samples = None,
    contrast: options.Contrast = False,
    seed: options.Seed = None,
    out: options.Out = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Hold automatic criteria against people's, a fixed rubric, and criteria from one prompt.

    Where there are texts that people have judged, one judge scores them by the criteria of each
    source. `--role judge=SPEC` also has that judge confirm which criteria are the same.
    """
    with reporting(debug=debug):
        from quillgraph.cli.evals.criteria import Asked, begin_eval_criteria, resume_eval_criteria
        from quillgraph.cli.session.settings import load_settings, parse_roles

        limits = {
            "max_calls": max_calls,
            "max_tokens_total": max_tokens_total,
            "timeout": timeout,
        }
        given = {
            "backend": backend,
            "roles": parse_roles(role or []),
            "embeddings": embeddings,
            "drafts": drafts,
            "draft_tokens": draft_tokens,
            "samples": samples,
            "contrast": contrast or None,
            "seed": seed,
            "out": out,
        }
        if resume:
            other = {
                **given, "data": data, "format": data_format, "without": without, "limit": limit,
                "config": config, "runs": runs if runs != 1 else None,
            }  # fmt: skip
            resume_eval_criteria(resume, other, limits, plot=plot, as_json=as_json)
            return
        asked = Asked(
            data=tuple(data or ()),
            data_format=data_format,
            without=tuple(without or ()),
            runs=runs,
            limit=limit,
        )
        settings = load_settings(config, **given, **limits)
        begin_eval_criteria(asked, settings, plot=plot, as_json=as_json)


@eval_app.command("judge")
def eval_judge(
    *,
    data: Data = None,
    data_format: Format = None,
    criteria_file: Annotated[
        Path | None,
        typer.Option(
            "--criteria",
            help="criteria.json to judge by; default: a fixed rubric that fits any text.",
            metavar="FILE",
        ),
    ] = None,
    limit: Limit = None,
    probes: Probes = 12,
    require: Require = None,
    plot: Plot = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("judge=openai:gpt-5-mini")] = None,
    judge: options.Judge = None,
    samples: options.Samples = None,
    seed: options.Seed = None,
    out: options.Out = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Hold a judge against human scores or preferences, and probe it for known failures."""
    with reporting(debug=debug):
        from quillgraph.cli.evals.judge import Question, run_eval_judge
        from quillgraph.cli.session.settings import load_settings, parse_roles

        settings = load_settings(
            config,
            backend=backend,
            roles=parse_roles(role or [], judge),
            samples=samples,
            seed=seed,
            out=out,
            max_calls=max_calls,
            max_tokens_total=max_tokens_total,
            timeout=timeout,
        )
        question = Question.of(data, data_format, criteria_file, limit=limit, probes=probes)
        run_eval_judge(question, settings, require or [], plot=plot, as_json=as_json)


Policies = Annotated[
    list[str] | None,
    typer.Argument(
        help="[NAME=][GRAPH[?option=value]@]MODEL, the first of which the others are compared "
        "with. MODEL is KIND:MODEL, KIND:MODEL+ADAPTER, or the folder of a training run.",
        metavar="POLICY...",
    ),
]


@eval_app.command("policy")
def eval_policy(
    policies: Policies = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="File of requests: WritingBench, BiGGen, Arena-Hard, LongBench-Write, or JSONL "
            "with `request`, and `criteria` if there are any.",
            metavar="FILE",
        ),
    ] = None,
    data_format: Format = None,
    criteria_file: Annotated[
        Path | None,
        typer.Option(
            "--criteria",
            help="criteria.json to score by; default: what came with a request, else a fixed "
            "rubric that fits any text.",
            metavar="FILE",
        ),
    ] = None,
    limit: Limit = None,
    texts: Annotated[
        int, typer.Option(help="Texts of each policy for each request.", metavar="N")
    ] = 2,
    prompt: Annotated[
        str,
        typer.Option(
            help="What a model is asked: the bare `request`, or the prompt of the `writer`.",
            metavar="KIND",
        ),
    ] = "request",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Add best-of-N and Self-Refine on the first one's model, at the tokens of the "
            "dearest of the others.",
        ),
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(help="Model that scores and compares the texts.", metavar="SPEC"),
    ] = None,
    allow_same_judge: Annotated[
        bool,
        typer.Option("--allow-same-judge", help="Take a judge that has trained a policy."),
    ] = False,
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
    samples: options.Samples = None,
    rounds: options.Rounds = None,
    text_tokens: options.TextTokens = None,
    seed: options.Seed = None,
    out: options.Out = None,
    resume: Resume = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Compare models, adapters and graphs on the same requests."""
    with reporting(debug=debug):
        from quillgraph.cli.evals.policy import (
            Asked,
            Shown,
            begin_eval_policy,
            resume_eval_policy,
        )
        from quillgraph.cli.session.settings import load_settings

        given = {
            "roles": {"judge": judge} if judge else {},
            "samples": samples,
            "rounds": rounds,
            "text_tokens": text_tokens,
            "seed": seed,
            "out": out,
        }
        limits = {"max_calls": max_calls, "max_tokens_total": max_tokens_total, "timeout": timeout}
        shown = Shown(require=require or [], plot=plot, as_json=as_json)
        if resume:
            other = {
                **given, "policies": policies, "data": data, "format": data_format,
                "criteria": criteria_file, "limit": limit, "texts": texts if texts != 2 else None,
                "prompt": prompt if prompt != "request" else None, "baselines": baselines or None,
                "allow_same_judge": allow_same_judge or None, "config": config,
            }  # fmt: skip
            resume_eval_policy(resume, other, limits, shown)
            return
        asked = Asked(
            policies=tuple(policies or ()),
            data=data,
            data_format=data_format,
            criteria=criteria_file,
            limit=limit,
            texts=texts,
            reading=prompt,
            baselines=baselines,
            allow_same_judge=allow_same_judge,
        )
        begin_eval_policy(asked, load_settings(config, **given, **limits), shown)
