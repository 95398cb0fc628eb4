"""Engines that take turns."""

from pathlib import Path

import pytest

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.spec import BackendSpec
from quillgraph.evals.policies.engines import EngineTurns

SCRIPT = "rules: [{when: '.', reply: hm}]"


@pytest.fixture
def specs(tmp_path: Path) -> list[BackendSpec]:
    for name in ("one", "two"):
        (tmp_path / name).write_text(SCRIPT, encoding="utf-8")
    return [BackendSpec.parse(f"scripted:{tmp_path}/{name}") for name in ("one", "two")]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the backends, in order."""
    calls: list[str] = []

    def noted(name: str) -> object:
        async def method(self: ChatBackend, *args: object) -> None:
            path = str(getattr(self, "path", ""))
            calls.append(" ".join([name, path[-3:], *map(str, args)]))

        return method

    for name in ("start", "aclose", "load_adapter"):
        monkeypatch.setattr(ChatBackend, name, noted(name))
    return calls


async def test_one_engine_is_up_at_a_time_and_stays_while_it_is_asked_for(
    specs: list[BackendSpec], log: list[str]
) -> None:
    one, two = specs
    turns = EngineTurns([one, two, one])
    assert len(turns.chats) == 2
    assert log == []  # nothing starts by being named
    first = await turns.take(one)
    assert await turns.take(one) is first
    await turns.take(two)
    assert log == ["start one", "start one", "aclose one", "start two"]


async def test_weights_are_swapped_only_where_they_differ(
    specs: list[BackendSpec], log: list[str]
) -> None:
    turns, folder = EngineTurns(specs), Path("adapter")
    for adapter, version in ((folder, "policy-B"), (folder, "policy-B"), (None, "base")):
        await turns.take(specs[0], adapter, version)
    await turns.take(specs[0], folder, "policy-B")
    await turns.take(specs[1])
    await turns.take(specs[0])  # started anew, so it is bare
    swaps = [each for each in log if each.startswith("load")]
    assert swaps == [
        "load_adapter one adapter policy-B", "load_adapter one None base",
        "load_adapter one adapter policy-B",
    ]  # fmt: skip


def test_a_model_that_cannot_be_connected_is_refused_before_any_work(
    specs: list[BackendSpec],
) -> None:
    with pytest.raises(ConfigError, match="cannot read the script"):
        EngineTurns([*specs, BackendSpec.parse("scripted:nowhere.yaml")])
