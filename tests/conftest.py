import asyncio
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from quillgraph.backends import CallRecord
from quillgraph.backends.vllm import VllmChat
from quillgraph.backends.weights import pull

# read when LangGraph is imported: checkpoints then hold only what the graphs' states declare
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

if "PYTEST_XDIST_WORKER" in os.environ:
    # of several processes each has one core: more threads only wait for each other, spinning
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# the time that an example takes says more about the machine than about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


SCOPES = {
    "vllm": r"\[vllm(?![-_]server)|_on_smollm2\.py(?!.*\[tr)|test_cassette_options",
    "vllm-server": r"\[vllm[-_]server|servers/test_vllm\.py",
    "fork server": r"rl/.*/test_(resume|distributed|evaluation)\.py|rl/test_processes\.py",
    "transformers": r"\[transformers|transformers/test_chat\.py",
    "alone": r"servers/test_fleet|mrpo/test_memory_helps|session/test_killed_runs",
}
"""What is slow to start, or to run, and the tests that share it: they stay in one process, and
come first, the longest before all. Other tests stay with those of their file."""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Hands tests that share an engine to one process of xdist.

    Its own `loadgroup` does so by markers, but has no effect with pytest 9 (xdist 3.8.0).
    """

    def _split_scope(self, nodeid: str) -> str:
        found = (scope for scope, form in SCOPES.items() if re.search(form, nodeid))
        return next(found, nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Take the scheduler above, whatever `--dist` says."""
    return Together(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among several processes, begin with what takes longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = list(SCOPES.values())

        def place(item: pytest.Item) -> int:
            forms = (n for n, form in enumerate(places) if re.search(form, item.nodeid))
            return next(forms, len(places))

        items.sort(key=place)


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The built-in model, fetched once and kept in the user's cache."""
    return pull("smollm2-135m")


@pytest.fixture(scope="session")
def tool_folder(smollm2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model with a template that takes tools, and is its own where there are none."""
    folder = tmp_path_factory.mktemp("smollm2-with-tools")
    for file in smollm2_folder.iterdir():
        (folder / file.name).symlink_to(file)
    template = folder / "chat_template.jinja"
    template.unlink()
    template.write_bytes(Path(__file__).with_name("tool_template.jinja").read_bytes())
    return folder


@pytest.fixture(scope="session")
def vllm_chat(tool_folder: Path) -> Iterator[VllmChat]:
    """One engine for the whole test session: it takes half a minute to start."""
    pytest.importorskip("vllm")
    chat = VllmChat(
        model=str(tool_folder),
        max_model_len=2048,
        max_tokens=24,
        max_concurrency=4,
        max_lora_rank=8,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's own imports
        asyncio.run(chat.start())
    yield chat
    asyncio.run(chat.aclose())


@pytest.fixture(scope="session")
def training_libraries() -> None:
    """Import TRL and PEFT once, without the warnings of their own imports."""
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft  # noqa: F401
        from trl import GRPOTrainer  # noqa: F401


SaveAdapter = Callable[..., Path]


@pytest.fixture(scope="session")
def save_adapter() -> SaveAdapter:
    """Has PEFT write an adapter of random matrices for a model, which stays as it was."""
    return _save_adapter


def _save_adapter(model: Any, folder: Path, *, seed: int, **settings: Any) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    chosen = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "up_proj"]}
    adapted = get_peft_model(model, LoraConfig(**{**chosen, **settings}))
    for name, parameter in adapted.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)  # PEFT begins with zeros
        if ".lora_embedding_A." in name:
            torch.nn.init.normal_(parameter, std=0.003)
    adapted.save_pretrained(folder)
    adapted.unload()
    return folder


@pytest.fixture(scope="session")
def adapters(
    smollm2_folder: Path, save_adapter: SaveAdapter, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two adapters of the built-in model."""
    pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder)
    folder = tmp_path_factory.mktemp("adapters")
    first = save_adapter(model, folder / "one", seed=1)
    return first, save_adapter(model, folder / "two", seed=2)


@pytest.fixture(scope="session")
def peak_in_flight() -> Callable[[list[CallRecord]], int]:
    """Counts the most calls that an engine held at one moment."""
    return _peak_in_flight


def _peak_in_flight(records: list[CallRecord]) -> int:
    moments: list[tuple[float, int]] = []
    for record in records:
        start = record.started if record.started is not None else record.requested
        moments += [(start, 1), (start + record.latency_s, -1)]
    level = peak = 0
    for _, change in sorted(moments):
        level += change
        peak = max(peak, level)
    return peak
