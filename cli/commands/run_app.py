"""`quillgraph run`: what is heavy is imported inside the command."""

import os
from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session import options
from quillgraph.cli.session.errors import reporting

GraphName = Annotated[
    str | None,
    typer.Argument(
        help="A name that `quillgraph graphs` lists, or where yours is: module:attribute or "
        "file.py:attribute.",
        metavar="GRAPH",
    ),
]
Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help="FILE.jsonl: one JSON object, or one request in quotes, a line. FILE.json: one "
        "object. Any other file: a request in words.",
        metavar="FILE",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        help="Go on with a run that ended early; no call that has finished is made again.",
        metavar="RUN_DIR",
    ),
]

Answer = Annotated[
    str | None,
    typer.Option(
        help="Answer to what the graph asks by an interrupt, as JSON or plain text.",
        metavar="JSON",
    ),
]


def run(
    graph: GraphName = None,
    request: options.Request = None,
    *,
    input_file: Input = None,
    resume: Resume = None,
    answer: Answer = None,
    criteria_file: options.CriteriaFile = None,
    backend: options.Backend = None,
    role: Annotated[list[str] | None, options.role_option("writer=openai:gpt-5-mini")] = None,
    embeddings: options.Embeddings = None,
    drafts: options.Drafts = None,
    draft_tokens: options.DraftTokens = None,
    rounds: options.Rounds = None,
    text_tokens: options.TextTokens = None,
    samples: options.Samples = None,
    seed: options.Seed = None,
    out: options.Out = None,
    record: options.Record = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    timeout: options.Timeout = None,
    node_budget: options.NodeBudget = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Run any graph, yours or ours, on one request or many.

    What it has done is on disk: a run that was stopped, by a budget, a fault or kill -9, goes on
    with --resume.
    """
    # read when LangGraph is imported: a checkpoint then holds only what the graph's state declares
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    with reporting(debug=debug):
        from quillgraph.backends.errors import ConfigError
        from quillgraph.cli.commands.run import Wanted, begin_run, resume_run
        from quillgraph.cli.session.settings import load_settings, parse_node_budgets, parse_roles

        limits = {
            "max_calls": max_calls,
            "max_tokens_total": max_tokens_total,
            "timeout": timeout,
            "node_budgets": parse_node_budgets(node_budget or []) or None,
        }
        given = {
            "backend": backend,
            "roles": parse_roles(role or []),
            "embeddings": embeddings,
            "drafts": drafts,
            "draft_tokens": draft_tokens,
            "rounds": rounds,
            "text_tokens": text_tokens,
            "samples": samples,
            "seed": seed,
            "out": out,
            "record": record,
        }
        wanted = Wanted(graph, request, input_file, criteria_file, answer)
        if resume is not None:
            resume_run(resume, wanted, {**given, "config": config}, limits, as_json=as_json)
            return
        if graph is None:
            raise ConfigError(
                "expected a GRAPH or --resume RUN_DIR, got neither; `quillgraph graphs` lists them"
            )
        begin_run(wanted, load_settings(config, **given, **limits), as_json=as_json)
