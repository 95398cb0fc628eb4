"""The pytest plugin of the contract suite: which tests run on which backends.

Run: pytest --pyargs quillgraph.backends.contract -p quillgraph.backends.contract.plugin \
    --backend KIND:MODEL
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.spec import connect

CAPABILITIES = ("json_schema", "token_ids", "logprobs", "top_logprobs", "tools", "adapters")
"""Traits that a backend declares (`Capabilities`)."""

TRAITS = (*CAPABILITIES, "window", "time", "model")
"""`window`: has a limit on prompt and reply together; `time`: takes time for a reply, so that a
call can time out; `model`: samples from a model, and not from a script or a recording."""

AT_ONCE = 4
"""Calls that a backend under test may have in flight; the suite makes more."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend that the suite runs on."""

    name: str
    """Its spec, or another name, for the ids of its tests."""
    traits: frozenset[str]
    """Those of `TRAITS` that it has."""
    fixture: str | None = None
    """The fixture that makes it; None if `name` is a spec to connect to."""
    marks: Sequence[pytest.MarkDecorator] = ()


def subject_of(spec: str) -> Subject:
    """Connect to a backend, and derive its traits from its capabilities.

    Raises:
        ConfigError: If there is no such backend.
    """
    capabilities: Capabilities = connect(spec, max_concurrency=AT_ONCE).capabilities
    traits = {name for name in CAPABILITIES if getattr(capabilities, name)}
    if capabilities.context_tokens is not None:
        traits.add("window")
    return Subject(spec, frozenset({*traits, "time", "model"}))


def run_on(metafunc: pytest.Metafunc, subjects: Sequence[Subject]) -> None:
    """Run a test on each backend that has the traits it needs; skip it if none has them.

    Call this in `pytest_generate_tests` to run the suite on backends that fixtures make.
    """
    if "backend" not in metafunc.fixturenames:
        return
    needs, lacks = _traits(metafunc, "needs"), _traits(metafunc, "lacks")
    fitting = [
        pytest.param(each, id=each.name, marks=each.marks)
        for each in subjects
        if needs <= each.traits and not lacks & each.traits
    ]
    condition = ", ".join([*sorted(needs), *(f"no {name}" for name in sorted(lacks))])
    nobody = pytest.param(None, id="none", marks=pytest.mark.skip(reason=f"holds for {condition}"))
    metafunc.parametrize("backend", fitting or [nobody], indirect=True)


def _traits(metafunc: pytest.Metafunc, mark: str) -> set[str]:
    names = {name for each in metafunc.definition.iter_markers(mark) for name in each.args}
    if unknown := names - set(TRAITS):
        raise ValueError(f"mark {mark}: expected traits out of {TRAITS}, got {unknown}")
    return names


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("quillgraph", "contract of backends")
    group.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="KIND:MODEL",
        help="run the contract suite on this backend; may be given several times",
    )
    group.addoption(
        "--adapter",
        action="append",
        default=[],
        metavar="FOLDER",
        help="an adapter of the model, as PEFT writes it; two where adapters are swapped",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and let pytest run coroutines if `--backend` is set."""
    config.addinivalue_line("markers", "needs(*traits): runs on backends with all of these traits")
    config.addinivalue_line("markers", "lacks(*traits): runs on backends with none of these traits")
    if config.getoption("backend"):
        if not config.pluginmanager.hasplugin("asyncio"):
            raise pytest.UsageError(
                "the contract suite needs pytest-asyncio: pip install 'quillgraph[contract]'"
            )
        config.option.asyncio_mode = "auto"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the suite on the backends that the command line names."""
    if specs := metafunc.config.getoption("backend"):
        run_on(metafunc, [subject_of(spec) for spec in specs])


@pytest.fixture(scope="session")
def connect_spec() -> Iterator[Callable[[str], ChatBackend]]:
    """Connects to a spec once in a test session."""
    chats: dict[str, ChatBackend] = {}

    def connect_once(spec: str) -> ChatBackend:
        if spec not in chats:
            chats[spec] = connect(spec, max_concurrency=AT_ONCE)
        return chats[spec]

    yield connect_once
    for chat in chats.values():
        asyncio.run(chat.aclose())


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> ChatBackend:
    """The backend under test."""
    subject: Subject | None = getattr(request, "param", None)
    if subject is None:
        pytest.fail("name the backend that the suite is to run on: --backend KIND:MODEL")
    chat: ChatBackend = (
        request.getfixturevalue(subject.fixture)
        if subject.fixture
        else request.getfixturevalue("connect_spec")(subject.name)
    )
    return chat


@pytest.fixture(scope="session")
def adapters(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Two adapters of the model under test."""
    folders = [Path(each) for each in request.config.getoption("adapter")]
    if len(folders) != 2:
        pytest.fail(
            "the backend declares adapters: name two of its model, --adapter FOLDER --adapter "
            f"FOLDER; got {len(folders)}"
        )
    return folders[0], folders[1]
