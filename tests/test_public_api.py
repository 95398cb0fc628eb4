"""What a sub-package exports is what its `__all__` says."""

import importlib
from types import ModuleType

import pytest

PACKAGES = [
    "quillgraph.backends",
    "quillgraph.agents",
    "quillgraph.graphs",
    "quillgraph.rl",
    "quillgraph.evals",
]  # of cli, the command is public


def _exported(package: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


@pytest.mark.filterwarnings("ignore")  # of the libraries' own imports
@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_exports_what_it_says(name: str) -> None:
    package = importlib.import_module(name)
    said = package.__all__
    assert len(said) == len(set(said))
    assert _exported(package) - set(said) == set()
    assert [each for each in said if not hasattr(package, each)] == []


@pytest.mark.filterwarnings("ignore")
def test_names_that_are_looked_up_late_are_those_of_their_modules() -> None:
    rl = importlib.import_module("quillgraph.rl")
    assert set(rl._PLACES) == set(rl.__all__)
    for name, place in rl._PLACES.items():
        found = getattr(rl, name)
        assert (found.__module__, found.__name__) == (f"quillgraph.rl.{place}", name)
    with pytest.raises(AttributeError, match=r"'quillgraph\.rl' has no attribute 'nothing'"):
        _ = rl.nothing
