"""`quillgraph eval`: what can be believed. What is heavy is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli import options
from quillgraph.cli.reporting import reporting

eval_app = typer.Typer(help="Measure judges against people.", no_args_is_help=True)

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
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with a comparison that ended early; what is done stays done.",
            metavar="RUN_DIR",
        ),
    ] = None,
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
        from quillgraph.cli.comparing_criteria import Asked
        from quillgraph.cli.evaluating_criteria import begin_eval_criteria, resume_eval_criteria
        from quillgraph.cli.settings import load_settings, parse_roles

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
        from quillgraph.cli.evaluating_judge import Question, run_eval_judge
        from quillgraph.cli.settings import load_settings, parse_roles

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
