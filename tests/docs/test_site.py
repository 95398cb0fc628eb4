"""The documentation site builds strictly, without the network, and shows what the code says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quillgraph.backends import errors
from quillgraph.rl.config import TrainConfig

ROOT = Path(__file__).parents[2]

NO_NETWORK = """
import runpy, socket, sys


def refuse(*_args, **_kwargs):
    raise OSError("the site is built without the network")


socket.socket.connect = socket.create_connection = refuse
sys.argv = ["mkdocs", *sys.argv[1:]]
runpy.run_module("mkdocs", run_name="__main__")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-P",
        "-c",
        NO_NETWORK,
        "build",
        "--strict",
        "-d",
        str(folder),
    ]  # with -q no warning would count
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_without_a_warning_or_the_network(site: Path) -> None:
    assert (site / "index.html").is_file()


def test_no_page_asks_another_place_for_fonts_styles_or_scripts(site: Path) -> None:
    loads = re.compile(r'<(?:script|link rel="stylesheet")[^>]+(?:src|href)="https?://[^"]+"')
    found = {page.name: loads.findall(page.read_text("utf-8")) for page in site.rglob("*.html")}
    assert {name: links for name, links in found.items() if links} == {}


def test_the_reference_has_every_command_field_and_error(site: Path) -> None:
    commands = (site / "reference" / "cli" / "index.html").read_text("utf-8")
    for name in ("criteria", "write", "judge", "run", "train", "eval policy", "memory forget"):
        assert f"quillgraph {name}<a" in commands
    fields = (site / "reference" / "train-config" / "index.html").read_text("utf-8")
    assert [name for name in TrainConfig.model_fields if f"<code>{name}</code>" not in fields] == []
    told = (site / "reference" / "errors" / "index.html").read_text("utf-8")
    tree = [each for each in vars(errors).values() if isinstance(each, type)]
    names = [each.__name__ for each in tree if issubclass(each, errors.QuillError)]
    assert len(names) >= 17
    assert [name for name in names if f"<code>{name}</code>" not in told] == []


@pytest.mark.parametrize("package", ["backends", "agents", "graphs", "rl", "evals"])
def test_the_reference_shows_every_public_name(site: Path, package: str) -> None:
    import importlib

    page = (site / "reference" / "api" / package / "index.html").read_text("utf-8")
    public = importlib.import_module(f"quillgraph.{package}").__all__
    assert [name for name in public if f'id="quillgraph.{package}.{name}"' not in page] == []
