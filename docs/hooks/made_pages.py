"""Pages that are made while the site is built: from `--help`, classes, `__all__`, root files.

MkDocs calls the functions that begin with `on_`; the rest are functions from code to Markdown.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[2]

PACKAGES = ("backends", "agents", "graphs", "rl", "evals")
"""Packages with a page of their public names, the lowest first."""

LISTS = {
    "extend": (
        "index",
        "backend", "role", "graph", "judge", "reward", "loss", "check-and-language",
    ),
    "reference/api": ("quillgraph", *PACKAGES),
}  # fmt: skip
"""Folders that stand in the navigation as a whole, and the order of their pages."""

FROM_ROOT = {
    "design/architecture.md": "ARCHITECTURE.md",
    "design/algorithm.md": "ALGORITHM.md",
    "design/papers.md": "PAPERS.md",
    "design/log.md": "LOG.md",
    "design/changes.md": "CHANGELOG.md",
    "results/hidden_rubric.png": "benchmarks/results/hidden_rubric.png",
}
"""Page of the site to the file that it shows."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of each folder of `LISTS` and the decisions in the place of its name."""
    config.nav = [_unfolded(entry) for entry in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/cli.md": "".join(command_pages()),
        "reference/train-config.md": config_page(),
        "reference/errors.md": errors_page(),
        **{f"reference/api/{name}.md": api_page(name) for name in LISTS["reference/api"]},
    }
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    for place, name in FROM_ROOT.items():
        source = ROOT / name
        if source.suffix == ".md":
            text = relinked(source.read_text(encoding="utf-8"), place)
            files.append(File.generated(config, place, content=text))
        else:
            files.append(File.generated(config, place, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put the tables of moved modules, and the pages about extending, under the words on them."""
    added = {"design/moved.md": moved_tables, "extend/index.md": extend_list}
    make = added.get(page.file.src_uri)
    return f"{markdown}\n{make()}" if make else markdown


def extend_list() -> str:
    """Link the pages about extending, by their titles."""
    folder = ROOT / "docs" / "extend"
    pages = [folder / f"{name}.md" for name in LISTS["extend"][1:]]
    titles = {
        page.name: page.read_text("utf-8").split("\n", 1)[0] for page in pages if page.is_file()
    }
    return "".join(f"- [{title.lstrip('# ')}]({name})\n" for name, title in titles.items())


def _unfolded(entry: Any) -> Any:
    if isinstance(entry, str):
        return entry
    (name, inner), *_ = entry.items()
    if isinstance(inner, list):
        return {name: [_unfolded(each) for each in inner]}
    if inner == "design/decisions":
        return {name: [_place(page) for page in sorted((ROOT / "docs" / inner).glob("*.md"))]}
    if inner in LISTS:
        made = inner == "reference/api"
        pages = [f"{inner}/{page}.md" for page in LISTS[inner]]
        return {name: [page for page in pages if made or (ROOT / "docs" / page).is_file()]}
    return entry


def _place(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


def relinked(text: str, place: str) -> str:
    """Turn a root file's links to pages of the site, and those to other files into plain code."""
    up = "../" * place.count("/")
    places = {name: page for page, name in FROM_ROOT.items()}

    def link(match: re.Match[str]) -> str:
        words, target = match["words"], match["target"]
        if re.match(r"https?:|#", target):
            return match[0]
        if target in places:
            return f"[{words}]({up}{places[target]})"
        if target.startswith("docs/"):
            return f"[{words}]({up}{target.removeprefix('docs/')})"
        return f"`{words}`"

    return re.sub(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>[^)\s]+)\)", link, text)


def command_pages() -> Iterator[str]:
    """Tell each command as `--help` does."""
    yield (
        "# The command line\n\nThis page is made from `--help`. `quillgraph COMMAND --help` says "
        "the same. An option that a setting has can also stand in a file of `--config`, or in a "
        "variable: `--text-tokens` is `text_tokens:` in YAML and `QUILLGRAPH_TEXT_TOKENS`. The "
        "command line wins over the environment, and the environment over the file.\n"
    )
    yield from _commands(typer.main.get_command(_app()), ["quillgraph"])


def _app() -> typer.Typer:
    from quillgraph.cli.main import app

    return app


def _commands(command: Any, words: list[str]) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if not inner:
        yield _command(command, words)
    for name, each in inner.items():
        yield from _commands(each, [*words, name])


def _command(command: Any, words: list[str]) -> str:
    context = command.context_class(command, info_name=" ".join(words))
    usage = command.get_usage(context).removeprefix("Usage: ")
    help_text = inspect.cleandoc(command.help or "")
    records = [param.get_help_record(context) for param in command.params]
    rows = [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in filter(None, records)]
    parts = [
        f"\n## {' '.join(words)}\n",
        f"```text\n{' '.join(usage.split())}\n```\n",
        f"{help_text}\n",
        "| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n",
        f"{command.epilog or ''}\n",
    ]
    return "\n".join(parts)


def _code(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def config_page() -> str:
    """Tell each field of a training's configuration with its type, default and meaning."""
    from quillgraph.rl.config import TrainConfig

    parts = [
        "# The configuration of a training\n\nThis page is made from `TrainConfig`. A "
        "configuration is one YAML file. A name that is not here is refused, with the nearest "
        "one that is. [The first run](../train/first-run.md) goes through one line by line.\n"
    ]
    parts += [_section(path, model) for path, model in _models("", TrainConfig)]
    return "\n".join(parts)


def _models(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for inner in _classes(field.annotation):
            yield from _models(f"{path}.{name}".strip("."), inner)


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _classes(each)


def _section(path: str, model: type[BaseModel]) -> str:
    meanings = field_docs(model)
    rows = [
        f"| `{name}` | {_type(field.annotation)} | {_default(field)} | "
        f"{_cell(meanings.get(name) or _about_section(field.annotation))} |"
        for name, field in model.model_fields.items()
    ]
    title = f"`{path}:`" if path else "The file"
    about = inspect.cleandoc(model.__doc__ or "")
    table = "| field | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
    return f"## {title}\n\n{about}\n\n{table}\n"


def _about_section(annotation: Any) -> str:
    first = next(_classes(annotation), None)
    return inspect.cleandoc(first.__doc__ or "").split("\n\n")[0] if first else ""


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Read the string under each field, of the class and of those it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, under in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match under:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = text
    return found


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in inner if each is not type(None)))
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "mapping"
    if origin is not None and inner:
        return _type(inner[0])
    if annotation is Path:
        return "path"
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return "a section"
        return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(
            annotation, annotation.__name__
        )
    return "any"


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        if field.default_factory is None:
            return "needed"
        value = field.default_factory()
    if isinstance(value, BaseModel):
        return "its own defaults"
    if value is None:
        return "none"
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def errors_page() -> str:
    """Draw the tree of errors and tell what each of them means."""
    from quillgraph.backends import errors

    drawing = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")[2]
    every = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.QuillError)
    ]
    rows = [
        f"| `{each.__name__}` | {each.exit_status} | {'yes' if each.retryable else 'no'} | "
        f"{_cell(inspect.cleandoc(each.__doc__ or ''))} |"
        for each in every
    ]
    return (
        "# Errors\n\nThis page is made from `backends/errors.py`. Every error that the package "
        "raises on purpose is a `QuillError`. Its message says what was expected, what came, "
        "where, and what to do.\n\n"
        f"```text\n{drawing}\n```\n\n"
        "| error | exit status | tried again | meaning |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nWhat goes wrong inside a graph is no exception for its caller: it is "
        "`Episode.failure`, with the node, the file and the line.\n"
    )


def moved_tables() -> str:
    """List where each module of before is now, by package."""
    rows: dict[str, list[str]] = {}
    for line in (ROOT / "api" / "moved.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            old, new, *renames = line.split()
            names = ", ".join(f"`{each.replace('=', '` → `')}`" for each in renames)
            rows.setdefault(old.split(".")[0], []).append(f"| `{old}` | `{new}` | {names} |")
    tables = [
        f"## {package}\n\n| before | now | definitions |\n|---|---|---|\n" + "\n".join(lines) + "\n"
        for package, lines in rows.items()
    ]
    return "\n".join(tables)


def api_page(name: str) -> str:
    """List the public names of a package, each with its docstring."""
    full = name if name == "quillgraph" else f"quillgraph.{name}"
    package = importlib.import_module(full)
    about = inspect.cleandoc(package.__doc__ or "")
    public = "\n".join(f"::: {full}.{each}\n" for each in getattr(package, "__all__", ()))
    return f"# {full}\n\n{about}\n\n{public}"
