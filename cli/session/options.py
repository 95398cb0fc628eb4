"""Options that several commands share, with what `--help` says of them."""

from pathlib import Path
from typing import Annotated

import typer


def _number(said: str) -> int | float | str:
    """Read a number; what is none is left for the settings to refuse in their words."""
    for kind in (int, float):
        try:
            return kind(said)
        except ValueError:
            continue
    return said


Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Show criteria, verdicts, plans and lessons with their words."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]

Request = Annotated[
    str | None, typer.Argument(help="What is to be written, in any words.", metavar="REQUEST")
]
RequestFile = Annotated[
    Path | None, typer.Option("--file", help="Read the request from a file.", metavar="FILE")
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="Model of all roles, as KIND:MODEL[@URL][?option=value]: vllm:smollm2-135m, "
        "transformers:FOLDER, vllm-server:MODEL[@URL], openai:gpt-5-mini, "
        "openai:MODEL@http://127.0.0.1:8000/v1, langchain:package.Class, scripted:FILE, "
        "cassette:FILE. Default: the built-in model on what this machine can run.",
        metavar="SPEC",
    ),
]
Embeddings = Annotated[
    str | None, typer.Option(help="minilm (default), lexical or a model folder.", metavar="NAME")
]
Drafts = Annotated[
    int | None,
    typer.Option(
        parser=_number, help="Drafts to sample and read, 0 to 16; default 4.", metavar="N"
    ),
]
DraftTokens = Annotated[
    int | None,
    typer.Option(
        parser=_number, help="Longest sampled draft, in tokens; default 160.", metavar="N"
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        parser=_number,
        help="Equal seeds ask the same with the same seeds; default 0. An engine that batches "
        "may still round one reply another way.",
        metavar="N",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="New folder to keep the run in; default runs/<time>-<slug>.", metavar="DIR"),
]
Record = Annotated[
    Path | None,
    typer.Option(
        help="New file to record every call in; --backend cassette:FILE with the same options "
        "then repeats the run without a model.",
        metavar="FILE",
    ),
]
MaxCalls = Annotated[
    int | None, typer.Option(parser=_number, help="Most model calls.", metavar="N")
]
MaxTokensTotal = Annotated[
    int | None,
    typer.Option(parser=_number, help="Most tokens, prompts and replies together.", metavar="N"),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        parser=_number, help="Most seconds, counted from when the model is up.", metavar="S"
    ),
]
NodeBudget = Annotated[
    list[str] | None,
    typer.Option(
        "--node-budget",
        help="What the calls in one node may spend in all, such as revise=20calls,5000tokens,30s; "
        "may be repeated.",
        metavar="NODE=AMOUNTS",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file of these settings. QUILLGRAPH_SEED and the like go before it, "
        "the command line before both.",
        metavar="FILE",
    ),
]
CriteriaFile = Annotated[
    Path | None,
    typer.Option(
        "--criteria",
        help="criteria.json of an earlier run, to judge by instead of finding new ones.",
        metavar="FILE",
    ),
]
Rounds = Annotated[
    int | None, typer.Option(parser=_number, help="Most revisions; default 3.", metavar="N")
]
TextTokens = Annotated[
    int | None,
    typer.Option(parser=_number, help="Longest text, in tokens; default 512.", metavar="N"),
]
Samples = Annotated[
    int | None,
    typer.Option(
        parser=_number, help="Votes of the judge on each criterion; default 2.", metavar="N"
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        help="Who judges: a trained scorer, as scorer:FOLDER, or a backend's SPEC; short for "
        "--role judge=SPEC.",
        metavar="SPEC",
    ),
]
MemoryFile = Annotated[
    Path | None,
    typer.Option("--memory", help="Memory file; default: the user's own.", metavar="FILE"),
]
NoMemory = Annotated[bool, typer.Option("--no-memory", help="Recall nothing and remember nothing.")]


LibraryFile = Annotated[
    Path | None,
    typer.Option(
        "--library",
        help="Library of criteria to compare with and to add to; own is the user's own. "
        "Default: none, so that a request finds the same criteria whatever came before.",
        metavar="FILE",
    ),
]
NoLibrary = Annotated[
    bool, typer.Option("--no-library", help="Use no library, whatever QUILLGRAPH_LIBRARY says.")
]


Contrast = Annotated[
    bool,
    typer.Option(
        "--contrast", help="Shift weight to the criteria that have told texts apart so far."
    ),
]


def role_option(example: str) -> typer.models.OptionInfo:
    """The option that gives one role another model."""
    info: typer.models.OptionInfo = typer.Option(
        "--role",
        help=f"Another model for one role, such as {example}; may be repeated.",
        metavar="NAME=SPEC",
    )
    return info
