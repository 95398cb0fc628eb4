"""LoRA adapters in an in-process vLLM engine: which weights a call samples from."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import BackendError, Refused, ServerFailed, Unreachable
from quillgraph.backends.messages.trace import BASE

TIMEOUT_S = 120.0
"""Longest time for the engine to take an adapter, seconds."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class WeightsInUse:
    """Weights that calls sample from, and the number of calls that use them now."""

    version: str = BASE
    request: Any = None
    """vLLM's `LoRARequest`; None for the bare model."""
    calls: int = 0


class EngineAdapters:
    """The adapters of one engine. Every method runs on the engine's loop."""

    def __init__(self) -> None:
        self._present = WeightsInUse()
        self._retired: list[WeightsInUse] = []
        self._numbers = itertools.count(1)
        self._swapping = asyncio.Lock()

    @contextmanager
    def in_use(self) -> Iterator[WeightsInUse]:
        """Keep the current weights in the engine while a call runs."""
        weights = self._present
        weights.calls += 1
        try:
            yield weights
        finally:
            weights.calls -= 1

    async def swap(self, engine: Any, path: Path | None, version: str) -> None:
        """Have new calls sample from an adapter, or from the bare model where there is no path.

        Raises:
            BackendError: If the engine could not load it. The weights stay as they were.
        """
        async with self._swapping:
            request = None if path is None else await self._load(engine, path, version)
            self._retired.append(self._present)
            self._present = WeightsInUse(version, request)
            for each in [each for each in self._retired if not each.calls]:
                if await _was_given_up(engine, each):
                    self._retired.remove(each)

    async def _load(self, engine: Any, path: Path, version: str) -> Any:
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        # vLLM keys its prefix cache by name and path: other weights that come in the same folder
        # under the same version must have another name
        request = LoRARequest(f"{version}#{number}", number, str(path))
        with _engine_errors(f"take adapter {version!r} from {path}"):
            async with asyncio.timeout(TIMEOUT_S):
                await engine.add_lora(request)
                loaded = await engine.list_loras()
        if number not in loaded:
            raise ServerFailed(f"vLLM took adapter {version!r} from {path} and does not list it")
        return request


async def _was_given_up(engine: Any, weights: WeightsInUse) -> bool:
    """Free the engine of weights; if it fails to, the new ones serve all the same."""
    if weights.request is None:
        return True
    try:
        with _engine_errors(f"give up adapter {weights.version!r}"):
            await engine.remove_lora(weights.request.lora_int_id)
    except BackendError as error:
        logger.warning("%s; it keeps its memory, and is tried again at the next swap", error)
        return False
    return True


@contextmanager
def _engine_errors(what: str) -> Iterator[None]:
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except TimeoutError:
        raise Unreachable(f"the vLLM engine did not {what} within {TIMEOUT_S:g} s") from None
    except EngineDeadError as error:
        raise ServerFailed(f"the vLLM engine died: {error}") from error
    except Exception as error:  # what the engine's process raised arrives as a bare Exception
        raise Refused(f"vLLM did not {what}: {error}") from error
