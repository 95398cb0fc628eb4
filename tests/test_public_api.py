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


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_exports_what_it_says(name: str) -> None:
    package = importlib.import_module(name)
    said = package.__all__
    assert len(said) == len(set(said))
    assert _exported(package) - set(said) == set()
    assert [each for each in said if not hasattr(package, each)] == []


def test_every_name_of_the_front_door_is_found_and_listed() -> None:
    import quillgraph

    assert [name for name in quillgraph.__all__ if getattr(quillgraph, name, None) is None] == []
    assert set(quillgraph.__all__) <= set(dir(quillgraph))


def test_a_name_that_the_front_door_does_not_have_is_an_attribute_error() -> None:
    import quillgraph

    with pytest.raises(AttributeError, match="'quillgraph' has no attribute 'find_criterion'"):
        quillgraph.find_criterion  # noqa: B018  # looking it up is the test
