"""The code blocks of README.md and of the pages under docs/ run, as a reader would run them.

A page is read from top to bottom in one empty folder that holds the repository's `examples`.

- `python` blocks share one namespace and may `await` at the top, as in a notebook.
- A block with `title="FILE"` is written to that file; later blocks run or read it. A `markdown`
  block without a title is the file of that kind that the next Python block reads.
- `bash` blocks run command by command; `quillgraph` and `python FILE` run in this process.
- A `text` block after one of these is what it printed; a line `…` stands for any lines.
- `yaml` and `json` blocks parse; a training's configuration is also read as one.
- A Python block that stands in a file under a path of `examples/` that the page names is an excerpt
  of it; the file has tests of its own. One with `(...` in it is a sketch, and is only compiled.
- A comment `<!-- not run: REASON -->` before a block keeps it from being run.

Nothing needs a model or the network: each spec of a model becomes `scripted:` with the rules of
`examples/scripts/story.yaml`. `pip`, `git`, `make` and servers are checked for their form alone.
`quillgraph train` reads its configuration and stops there, since a training takes minutes.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from quillgraph.cli.main import app
from quillgraph.rl.config import load_config

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "scripts" / "story.yaml"

PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("README.md"),
    ]
)

LANGUAGES = {"python", "bash", "sh", "text", "yaml", "json", "toml", "markdown", "mermaid"}
"""Languages that a block may have; `markdown` and `mermaid` do nothing by themselves."""

SKETCH = "(..."
"""Marks arguments that a sketch leaves out."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)$")
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]+?) -->")
_TITLE = re.compile(r'title="([^"]+)"')
_MODEL = re.compile(
    r"\b(?:vllm|vllm-server|transformers|openai|langchain|scorer):[\w./:@+-]*[\w/](?:\?[\w=&.,-]+)?"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None
    """Why it is not run; None if it is."""

    @property
    def where(self) -> str:
        """Page and line, as an editor finds them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Read the fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at, reason = 0, None
    while at < len(lines):
        marked = _NOT_RUN.search(lines[at])
        opened = _FENCE.match(lines[at])
        if marked:
            reason = marked["reason"]
        elif opened:
            indent, start = len(opened["indent"]), at + 1
            at = start
            while at < len(lines) and lines[at].strip() != opened["fence"]:
                at += 1
            info = opened["info"].strip()
            title = _TITLE.search(info)
            yield Block(
                page,
                start,
                info.split(maxsplit=1)[0] if info else "",
                title[1] if title else None,
                "\n".join(line[indent:] for line in lines[start:at]) + "\n",
                reason,
            )
            reason = None
        elif lines[at].strip():
            reason = None
        at += 1


def is_excerpt(block: Block) -> bool:
    """Whether a block stands, but for white space, in a file that its page names."""
    if block.language not in {"python", "toml"}:
        return False
    named = re.findall(r"`(examples/[\w./-]+)`", block.page.read_text(encoding="utf-8"))
    places = [ROOT / name for name in named]
    files = {each for place in places for each in (place, *place.rglob("*")) if each.is_file()}
    words = " ".join(block.text.split())
    readable = [file for file in files if file.suffix in {".py", ".toml"}]
    return any(words in " ".join(file.read_text("utf-8").split()) for file in readable)


def without_models(text: str) -> str:
    """Put the script in place of each model, and lexical embeddings in place of a model's."""
    scripted = _MODEL.sub(f"scripted:{SCRIPT}", text)
    return re.sub(r"""(["' ])minilm\b""", r"\1lexical", scripted)


class Reader:
    """Goes through a page, block by block, in a folder of its own.

    Args:
        folder: Where the page's files are written and its commands run; the current directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        self._prompt = ""
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def read(self, block: Block) -> None:
        """Run a block, or see that its text is what the block before it has printed."""
        assert block.language in LANGUAGES, (
            f"{block.where}: expected a block of {', '.join(sorted(LANGUAGES))}, got "
            f"{block.language!r}"
        )
        if block.not_run or is_excerpt(block):
            return
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(without_models(block.text), encoding="utf-8")
            _parse(block)
        elif block.language == "text":
            self._compare(block)
        elif block.language == "markdown":
            self._prompt = block.text
        elif block.language == "python" and SKETCH not in block.text:
            self._python(block)
        elif block.language in {"bash", "sh"}:
            self._shell(block)
        else:
            _parse(block)

    def _python(self, block: Block) -> None:
        source = without_models(block.text)
        if self._prompt and (name := re.search(r'Path\("([\w-]+\.md)"\)', source)):
            (self.folder / name[1]).write_text(self._prompt, encoding="utf-8")
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = compile(source, block.where, "exec", flags=flags)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, self._names))
            else:
                exec(code, self._names)
        self.printed = printed.getvalue()

    def _shell(self, block: Block) -> None:
        self.printed = ""
        for command in commands(block.text):
            self.printed += run(command, block.where)

    def _compare(self, block: Block) -> None:
        expected = [line.rstrip() for line in block.text.strip().splitlines()]
        got = [line.rstrip() for line in self.printed.strip().splitlines()]
        pattern = "\n".join(re.escape(line) for line in expected).replace(
            re.escape("…") + "\n", r"(?:.*\n)*?"
        )
        pattern = re.sub(r"\n…$", r"(?:\n.*)*", pattern)
        assert re.fullmatch(pattern, "\n".join(got)), (
            f"{block.where} says:\n{block.text}\nand this was printed:\n{self.printed}"
        )


def commands(text: str) -> Iterator[str]:
    """Join continued lines, and leave out comments and empty lines."""
    for line in text.replace("\\\n", " ").splitlines():
        command = line.split(" #")[0].strip()
        if command and not command.startswith("#"):
            yield command


def run(command: str, where: str) -> str:
    """Run a command of a page.

    Returns:
        What it printed.
    """
    words = shlex.split(without_models(command))
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    name = Path(words[0]).name
    if name in _FORMS:
        _FORMS[name](words, where)
        return ""
    if name == "quillgraph":
        return _quillgraph(words[1:], where)
    if name == "python" and words[1].endswith(".py"):
        return _program(words[1:])
    assert name in {"cat", "ls", "head", "cd", "source", "mkdir", "cp"}, (
        f"{where}: the tests do not know how to try {name!r}: {command}"
    )
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, f"{where}: {command}: {done.stderr}"
    return done.stdout


def _quillgraph(words: list[str], where: str) -> str:
    if words[0] == "train":
        load_config(Path(words[1]))  # all names and values; a real dry run loads a model
        words = ["train", "--help"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{where}: quillgraph {shlex.join(words)}: {done.output}"
    return str(done.stdout)


def _program(words: list[str]) -> str:
    before = sys.argv
    sys.argv = words
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = before
    return printed.getvalue()


def _parse(block: Block) -> None:
    if block.language == "json":
        for line in [block.text] if block.text.startswith("[") else block.text.splitlines():
            json.loads(line)
    elif block.language == "yaml":
        data = yaml.safe_load(block.text)
        if isinstance(data, dict) and {"model", "data"} <= data.keys():
            file = Path.cwd() / "_config.yaml"
            file.write_text(block.text, encoding="utf-8")
            load_config(file)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "python":
        compile(block.text, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def _pip(words: list[str], where: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert words[1] == "install", where
    for each in re.findall(r"quillgraph\[([\w,]+)\]", " ".join(words)):
        assert set(each.split(",")) <= extras.keys(), f"{where}: no extra {each}"


def _make(words: list[str], where: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in (word for word in words[1:] if "=" not in word):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{where}: no target {target}"


def _git(words: list[str], where: str) -> None:
    assert words[1] == "clone", where


def _launcher(words: list[str], where: str) -> None:
    assert len(words) > 1, where
    for each in (word for word in words if word.endswith(".yaml")):
        file = ROOT / each
        assert file.is_file(), f"{where}: no {each}"
        if words[words.index(each) - 1] == "train":
            load_config(file)


_FORMS = {
    "pip": _pip,
    "make": _make,
    "git": _git,
    "accelerate": _launcher,
    "vllm": _launcher,
    "langgraph": _launcher,
    "pytest": _launcher,
}
"""Commands that are checked for their form alone."""


def environment(folder: Path) -> dict[str, str]:
    """Settings of a reader who has no model: the script answers, nothing of theirs is touched."""
    return {
        "QUILLGRAPH_BACKEND": f"scripted:{SCRIPT}",
        "QUILLGRAPH_EMBEDDINGS": "lexical",
        "QUILLGRAPH_MEMORY": str(folder / ".memory.sqlite"),
        "XDG_DATA_HOME": str(folder / ".data"),
        "COLUMNS": "100",
        "PATH": os.environ["PATH"],
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("QUILLGRAPH_", "OPENAI_"))]:
        if name != "QUILLGRAPH_CACHE":
            monkeypatch.delenv(name)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path)  # as in a notebook that lies there
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    reader = Reader(tmp_path)
    try:
        for block in blocks(page):
            reader.read(block)
    finally:  # another page has a module of the same name
        for name, module in tuple(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
                del sys.modules[name]


def test_blocks_that_are_not_run_say_why_and_are_few() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    programs = [block for block in every if block.language in {"python", "bash", "sh"}]
    left_out = {block.where: block.not_run for block in programs if block.not_run}
    sketches = {
        block.where: f"sketch with {SKETCH}"
        for block in programs
        if block.language == "python" and SKETCH in block.text and not is_excerpt(block)
    }
    print(*(f"{at}: {why}" for at, why in (left_out | sketches).items()), sep="\n")  # noqa: T201
    assert all(len(why.split()) >= 3 for why in left_out.values())
    assert len(programs) > 50
    assert len(left_out) + len(sketches) <= 0.1 * len(programs)
