"""A backend outside the package: the example, its page, and the contract suite that it runs."""

import importlib
import math
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends import alternatives_of, backend_class, connect, trace_of
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.spec import foreign_kinds

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "extend" / "backend"
PAGE = ROOT / "docs" / "extend" / "backend.md"
HARBOUR = EXAMPLE / "harbour.txt"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What an installer writes beside the module of the example."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "site" / "quillgraph_ngram-0.1.0.dist-info"
    info.mkdir(parents=True)
    name, version = project["name"], project["version"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    return info.parent


@pytest.fixture
def ngram(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the example, installed."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(EXAMPLE)
    foreign_kinds.cache_clear()
    yield importlib.import_module("quillgraph_ngram")
    foreign_kinds.cache_clear()
    del sys.modules["quillgraph_ngram"]


def test_the_example_is_connected_by_the_name_of_its_entry_point(ngram: Any) -> None:
    chat: Any = connect(f"ngram:{HARBOUR}?order=3&max_tokens=20")
    assert (chat.order, chat.max_tokens) == (3, 20)
    reply = chat.invoke("Write of the sea.", seed=3)
    assert len(str(reply.content)) == 20
    assert type(chat) is ngram.NgramChat
    assert ngram.NgramChat is backend_class("ngram")
    with pytest.raises(ConfigError, match="unknown option 'ordre' of backend 'ngram': did you"):
        connect(f"ngram:{HARBOUR}?ordre=3")


def test_a_file_that_is_none_is_named(ngram: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ngram: cannot read .*none\.txt"):
        connect(f"ngram:{tmp_path / 'none.txt'}")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ConfigError, match=r"expected a text in .*empty\.txt"):
        connect(f"ngram:{tmp_path / 'empty.txt'}")


def test_characters_are_counted_in_a_ring(ngram: Any) -> None:
    # a b a c (a): after a come b and c, after b and c comes a
    assert ngram.follows("abac", 1) == {
        "": {"a": 2, "b": 1, "c": 1},
        "a": {"b": 1, "c": 1},
        "b": {"a": 1},
        "c": {"a": 1},
    }
    # strings longer than the text go round it more than once
    assert ngram.follows("ab", 3)["bab"] == {"a": 1}


@pytest.mark.parametrize(
    ("temperature", "top_p", "shares"),
    [
        (1.0, 1.0, {"a": 1 / 2, "b": 1 / 4, "c": 1 / 4}),
        # the squares of 2, 1, 1: 4, 1, 1 of 6
        (0.5, 1.0, {"a": 2 / 3, "b": 1 / 6, "c": 1 / 6}),
        # a and b have 3/4, of which a is 2 and b is 1
        (1.0, 0.7, {"a": 2 / 3, "b": 1 / 3}),
        (1.0, 0.5, {"a": 1.0}),
        (0.001, 1.0, {"a": 1.0}),
    ],
)
def test_counts_become_shares(
    ngram: Any, temperature: float, top_p: float, shares: dict[str, float]
) -> None:
    counts = {"c": 1, "a": 2, "b": 1}
    assert ngram.shares_of(counts, temperature, top_p) == pytest.approx(shares)


def test_log_probs_are_those_that_a_token_was_drawn_with(ngram: Any, tmp_path: Path) -> None:
    (tmp_path / "abac.txt").write_text("abac")
    chat = connect(f"ngram:{tmp_path / 'abac.txt'}?order=1&temperature=1&top_p=1")
    reply = chat.invoke("abac", max_tokens=40, seed=1, top_logprobs=1)
    trace, positions = trace_of(reply), alternatives_of(reply)
    assert trace is not None
    assert trace.logprobs is not None
    assert positions is not None
    assert trace.prompt_ids == tuple(map(ord, "user: abac\n"))
    assert "".join(map(chr, trace.completion_ids)) == reply.content
    # nothing in the file stands before a line break; then a is certain after b and c, and b is
    # as likely as c after a
    first = {"a": 0.5, "b": 0.25, "c": 0.25}[str(reply.content)[0]]
    expected = [first, *(0.5 if last == "a" else 1.0 for last in str(reply.content)[:-1])]
    assert [math.exp(each) for each in trace.logprobs] == pytest.approx(expected)
    # the likeliest one, and the drawn one where that is another
    assert {len(each.alternatives) for each in positions} == {1, 2}


def test_the_example_keeps_the_contract(site: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-P", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"),
        *("--pyargs", "quillgraph.backends.contract"),
        *("-p", "quillgraph.backends.contract.plugin", "--backend", f"ngram:{HARBOUR}"),
    ]
    paths = os.pathsep.join([str(EXAMPLE), str(site)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = re.search(r"(\d+) passed, (\d+) skipped", done.stdout)
    assert summary is not None, done.stdout
    assert int(summary[1]) >= 30
    # what needs a trait that it does not declare, and nothing else
    reasons = set(re.findall(r"holds for (.*)", done.stdout))
    assert all(re.search("json_schema|tools|adapters|window|no top_", each) for each in reasons)


def test_the_page_shows_the_example_as_it_is() -> None:
    blocks = re.findall(r"```(python|toml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    files = {"toml": EXAMPLE / "pyproject.toml", "python": EXAMPLE / "quillgraph_ngram.py"}
    assert {kind for kind, _ in blocks} == {"python", "toml"}
    for kind, block in blocks:
        assert block in files[kind].read_text(encoding="utf-8")
