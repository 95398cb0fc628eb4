"""The package as installed is the package on disk."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]
NOT_OURS = {"tests", "benchmarks", "examples", "build", "dist", "runs"}
TOPS = sorted(
    folder.name
    for folder in ROOT.iterdir()
    if folder.is_dir()
    and folder.name not in NOT_OURS
    and not folder.name.startswith((".", "_"))
    and any(folder.rglob("*.py"))
)
FRONT = "api"
"""The folder that `import quillgraph` itself loads; the others are the packages below."""
FILES = sorted(file for top in TOPS for file in (ROOT / top).rglob("*.py"))


def _dotted(path: Path) -> str:
    top, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("quillgraph", *([] if top == FRONT else [top]), *rest))


MODULES = [_dotted(file).removesuffix(".__init__") for file in FILES]


def test_every_folder_with_modules_is_listed_as_a_package() -> None:
    on_disk = {_dotted(file.parent) for file in FILES} | {_dotted(ROOT / top) for top in TOPS}
    assert set(SETTINGS["packages"]) == on_disk


def test_every_top_folder_has_its_place_and_its_type_marker() -> None:
    assert SETTINGS["package-dir"] == {_dotted(ROOT / top): top for top in TOPS}
    assert [top for top in TOPS if not (ROOT / top / "py.typed").is_file()] == []


def test_a_wheel_holds_every_module_and_every_file_that_is_read_at_run_time(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"  # a copy: what an earlier build left beside it would go in, too
    for top in TOPS:
        shutil.copytree(ROOT / top, source / top, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", ".", "."]
    done = subprocess.run(
        [sys.executable, *build], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with ZipFile(next(source.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    on_disk = {
        "/".join(("quillgraph", *(path.parts[1:] if path.parts[0] == FRONT else path.parts)))
        for top in TOPS
        for file in (source / top).rglob("*")
        if file.is_file()
        for path in [file.relative_to(source)]
    }
    assert packed == on_disk


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module: str) -> None:
    assert importlib.util.find_spec(module), f"{module} is not installed: run `make sync`"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries' own imports
        importlib.import_module(module)


@pytest.mark.parametrize("prompts", [f for f in ROOT.glob("*/prompts") if f.is_dir()])
def test_every_prompt_is_installed(prompts: Path) -> None:
    package = importlib.util.find_spec(f"quillgraph.{prompts.parent.name}")
    assert package
    assert package.submodule_search_locations
    installed = Path(next(iter(package.submodule_search_locations))) / prompts.name
    names = {file.name for file in prompts.glob("*.md")}
    missing = names - {file.name for file in installed.glob("*.md")}
    assert not missing, f"{sorted(missing)} not installed: run `make sync`"
