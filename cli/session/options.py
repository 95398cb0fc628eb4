"""Options of the commands: each help text is written once, at the field that it sets.

Nothing heavy is imported here: the command builds its options whenever it starts.
"""

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Gt, Le

from quillgraph.cli.session.errors import reporting

if TYPE_CHECKING:
    from quillgraph.cli.session.settings import Settings

Request = Annotated[
    str | None, typer.Argument(help="What is to be written, in any words.", metavar="REQUEST")
]
RequestFile = Annotated[
    Path | None, typer.Option("--file", help="Read the request from a file.", metavar="FILE")
]
CriteriaFile = Annotated[
    Path | None,
    typer.Option(
        "--criteria",
        help="criteria.json of an earlier run, to judge by instead of finding new ones.",
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
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Show criteria, verdicts, plans and lessons with their words."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file of these settings. QUILLGRAPH_SEED and the like go before it, "
        "the command line before both.",
        metavar="FILE",
    ),
]
JudgeSpec = Annotated[
    str | None,
    typer.Option(
        help="Who judges: a trained scorer, as scorer:FOLDER, or a backend's SPEC; short for "
        "--role judge=SPEC.",
        metavar="SPEC",
    ),
]


class SettingFields:
    """The fields of `Settings`, each with the option that sets it.

    In a help text, `{default}` is the field's default and `{example}` the command's example.
    """

    backend: Annotated[
        str | None,
        typer.Option(
            help="Model of all roles, as KIND:MODEL[@URL][?option=value]: vllm:smollm2-135m, "
            "transformers:FOLDER, vllm-server:MODEL[@URL], openai:gpt-5-mini, "
            "openai:MODEL@http://127.0.0.1:8000/v1, langchain:package.Class, scripted:FILE, "
            "cassette:FILE. Default: the built-in model on what this machine can run.",
            metavar="SPEC",
        ),
    ] = None
    """Spec of the backend for all roles; None chooses what this machine can run."""
    roles: Annotated[
        dict[str, str],
        typer.Option(
            "--role",
            help="Another model for one role, such as {example}; may be repeated.",
            metavar="NAME=SPEC",
        ),
    ] = {}  # noqa: RUF012  # pydantic gives each instance a copy
    """Role to spec, for roles that shall not have the common backend."""
    embeddings: Annotated[
        str, typer.Option(help="{default} (default), lexical or a model folder.", metavar="NAME")
    ] = "minilm"
    drafts: Annotated[
        int,
        Ge(0),
        Le(16),
        typer.Option(help="Drafts to sample and read, 0 to 16; default {default}.", metavar="N"),
    ] = 4
    draft_tokens: Annotated[
        int,
        Ge(20),
        typer.Option(help="Longest sampled draft, in tokens; default {default}.", metavar="N"),
    ] = 160
    rounds: Annotated[
        int, Ge(0), Le(20), typer.Option(help="Most revisions; default {default}.", metavar="N")
    ] = 3
    text_tokens: Annotated[
        int,
        Ge(20),
        typer.Option(help="Longest text, in tokens; default {default}.", metavar="N"),
    ] = 512
    samples: Annotated[
        int,
        Ge(1),
        Le(9),
        typer.Option(help="Votes of the judge on each criterion; default {default}.", metavar="N"),
    ] = 2
    memory: Annotated[
        Path | None, typer.Option(help="Memory file; default: the user's own.", metavar="FILE")
    ] = None
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Recall nothing and remember nothing.")
    ] = False
    library: Annotated[
        Path | None,
        typer.Option(
            help="Library of criteria to compare with and to add to; own is the user's own. "
            "Default: none, so that a request finds the same criteria whatever came before.",
            metavar="FILE",
        ),
    ] = None
    no_library: Annotated[
        bool,
        typer.Option("--no-library", help="Use no library, whatever QUILLGRAPH_LIBRARY says."),
    ] = False
    contrast: Annotated[
        bool,
        typer.Option(
            "--contrast", help="Shift weight to the criteria that have told texts apart so far."
        ),
    ] = False
    seed: Annotated[
        int,
        typer.Option(
            help="Equal seeds ask the same with the same seeds; default {default}. An engine that "
            "batches may still round one reply another way.",
            metavar="N",
        ),
    ] = 0
    out: Annotated[
        Path | None,
        typer.Option(
            help="New folder to keep the run in; default runs/<time>-<slug>.", metavar="DIR"
        ),
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(
            help="New file to record every call in; --backend cassette:FILE with the same options "
            "then repeats the run without a model.",
            metavar="FILE",
        ),
    ] = None
    max_calls: Annotated[int | None, Ge(1), typer.Option(help="Most model calls.", metavar="N")] = (
        None
    )
    max_tokens_total: Annotated[
        int | None,
        Ge(1),
        typer.Option(help="Most tokens, prompts and replies together.", metavar="N"),
    ] = None
    timeout: Annotated[
        float | None,
        Gt(0),
        typer.Option(help="Most seconds, counted from when the model is up.", metavar="S"),
    ] = None
    node_budgets: Annotated[
        dict[str, str],
        typer.Option(
            "--node-budget",
            help="What the calls in one node may spend in all, such as "
            "revise=20calls,5000tokens,30s; may be repeated.",
            metavar="NODE=AMOUNTS",
        ),
    ] = {}  # noqa: RUF012  # pydantic gives each instance a copy
    """Node to what the calls in it may spend in all, such as `20calls,5000tokens,30s`."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """The graph and the inputs of `quillgraph run`."""

    graph: Annotated[
        str | None,
        typer.Argument(
            help="A name that `quillgraph graphs` lists, or where yours is: module:attribute or "
            "file.py:attribute.",
            metavar="GRAPH",
        ),
    ] = None
    request: Request = None
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="FILE.jsonl: one JSON object, or one request in quotes, a line. FILE.json: one "
            "object. Any other file: a request in words.",
            metavar="FILE",
        ),
    ] = None
    resume: Resume = None
    answer: Annotated[
        str | None,
        typer.Option(
            help="Answer to what the graph asks by an interrupt, as JSON or plain text.",
            metavar="JSON",
        ),
    ] = None
    """None leaves its questions open."""
    criteria_file: CriteriaFile = None


LIMITS = ("max_calls", "max_tokens_total", "timeout", "node_budgets")
"""Settings that a run which goes on may be given anew."""

ENDS = ("seed", "out", "record", *LIMITS, "config")
"""The last options of most commands: seed, run folder and budgets."""

STUDY = ("embeddings", "drafts", "draft_tokens")
"""Measures of a search for criteria."""

LIBRARY = ("library", "no_library", "contrast")
"""What a search for criteria learns from others."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The settings that a command line sets."""

    values: Mapping[str, Any]
    """By the names of the settings; what was not said is absent."""
    config: Path | None = None
    """The YAML file that is named."""

    def settings(self) -> "Settings":
        """Merge them with the file and the environment.

        Raises:
            QuillError: As `load_settings` does.
        """
        from quillgraph.cli.session.settings import load_settings

        return load_settings(self.config, **self.values)

    @property
    def limits(self) -> dict[str, Any]:
        """The options that a resumed run takes."""
        return {name: each for name, each in self.values.items() if name in LIMITS}

    @property
    def others(self) -> dict[str, Any]:
        """The options that a resumed run refuses, the file among them."""
        others = {name: each for name, each in self.values.items() if name not in LIMITS}
        return others | ({"config": self.config} if self.config else {})


Command = Callable[..., None]


def takes(*settings: str, example: str = "") -> Callable[[Command], Command]:
    """Make a command of a function: with its options, `--debug`, and an exit status for each error.

    A parameter whose type is a dataclass becomes an option for each of its fields, and a parameter
    of type `Choices` an option for each of the settings.

    Args:
        settings: Names of `SettingFields` in the order of `--help`. `judge` stands for the option
            of the judge alone, `config` for the YAML file, and the name of another parameter for
            its place among them.
        example: A role with a model, for the help of `--role`.
    """

    def decorate(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        own = {
            name: (hints[name], parameter.default)
            for name, parameter in inspect.signature(function).parameters.items()
        }
        groups: dict[str, Any] = {
            name: hint for name, (hint, _) in own.items() if is_dataclass(hint)
        }
        options: dict[str, tuple[Any, Any]] = {}
        for name in own:
            if hints[name] is Choices:
                options |= {each: own.get(each) or _option(each, example) for each in settings}
            elif name in groups:
                options |= _options_of(hints[name])
            elif name not in settings:
                options[name] = own[name]
        options["debug"] = Debug, False

        def command(*, debug: bool, **values: Any) -> None:
            with reporting(debug=debug):
                for name, group in groups.items():
                    names = [each for each in settings if each not in own]
                    if group is not Choices:
                        names = list(_options_of(group))
                    arguments = {each: values.pop(each) for each in names}
                    values[name] = _choices(arguments) if group is Choices else group(**arguments)
                function(**values)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__module__ = function.__module__
        command.__annotations__ = {name: hint for name, (hint, _) in options.items()}
        command.__signature__ = _signature(options)  # type: ignore[attr-defined]
        return command

    return decorate


def _signature(options: Mapping[str, tuple[Any, Any]]) -> inspect.Signature:
    """The signature from which typer makes the options: names, types and defaults."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(name, kind, default=default, annotation=hint)
            for name, (hint, default) in options.items()
        ]
    )


def _options_of(group: Any) -> dict[str, tuple[Any, Any]]:
    """Type and default of each option in a dataclass."""
    hints = get_type_hints(group, include_extras=True)
    return {field.name: (hints[field.name], field.default) for field in fields(group)}


def _option(name: str, example: str) -> tuple[Any, Any]:
    """Type and default of the option that sets a field of the settings."""
    if name in _BESIDE:
        return _BESIDE[name], None
    kind, *facts = get_args(get_type_hints(SettingFields, include_extras=True)[name])
    option = copy(next(fact for fact in facts if isinstance(fact, typer.models.OptionInfo)))
    assert option.help is not None
    option.help = option.help.format(default=getattr(SettingFields, name), example=example)
    if kind is bool:
        return Annotated[bool, option], False
    if get_origin(kind) is dict:
        return Annotated[list[str] | None, option], None
    if {int, float} & {kind, *get_args(kind)}:
        option.parser = _number
    return Annotated[kind | None, option], None


_BESIDE = {"judge": JudgeSpec, "config": Config}
"""Options that lie among those of the settings and set none by themselves."""


def _number(word: str) -> int | float | str:
    """Parse a number; other text is returned as is, and the settings report the error."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _choices(options: dict[str, Any]) -> Choices:
    """The settings that a command's options set."""
    from quillgraph.cli.session.settings import parse_node_budgets, parse_roles

    config, judge = options.pop("config", None), options.pop("judge", None)
    options["roles"] = parse_roles(options.get("roles") or [], judge)
    options["node_budgets"] = parse_node_budgets(options.get("node_budgets") or [])
    silent = {name for name, each in options.items() if each is None or each is False or each == {}}
    return Choices({name: each for name, each in options.items() if name not in silent}, config)
