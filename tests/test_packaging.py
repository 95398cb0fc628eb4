"""The package as installed is the package on disk."""

import importlib
import importlib.util
import tomllib
import warnings
from pathlib import Path

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
FILES = sorted(file for top in TOPS for file in (ROOT / top).rglob("*.py"))


def _dotted(path: Path) -> str:
    return ".".join(("quillgraph", *path.relative_to(ROOT).with_suffix("").parts))


MODULES = [_dotted(file).removesuffix(".__init__") for file in FILES]


def test_every_folder_with_modules_is_listed_as_a_package() -> None:
    on_disk = {_dotted(file.parent) for file in FILES} | {_dotted(ROOT / top) for top in TOPS}
    assert set(SETTINGS["packages"]) == on_disk


def test_every_top_folder_has_its_place_and_its_type_marker() -> None:
    assert SETTINGS["package-dir"] == {f"quillgraph.{top}": top for top in TOPS}
    assert [top for top in TOPS if not (ROOT / top / "py.typed").is_file()] == []


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
