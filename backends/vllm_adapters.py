"""LoRA adapters in an in-process vLLM engine: which weights a call samples from."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.backends.errors import Refused, ServerFailed, Unreachable
from quillgraph.backends.traces import BASE

TIMEOUT_S = 120.0
"""Longest time for the engine to take an adapter, seconds."""


@dataclass(slots=True, eq=False)
class Weights:
    """Weights that calls sample from, and how many calls do at present."""

    version: str = BASE
    request: Any = None
    """vLLM's `LoRARequest`; None for the bare model."""
    calls: int = 0


def engine_options(most_rank: int | None) -> dict[str, Any]:
    """What an engine is started with to take adapters up to a rank; None for no adapters."""
    if most_rank is None:
        return {}
    return {
        "enable_lora": True,
        "max_lora_rank": most_rank,
        "max_loras": 2,  # so that new calls begin while those in flight keep the old version
        "max_cpu_loras": 8,  # versions in flight; one that was put out would be read anew
    }


class EngineAdapters:
    """The adapters of one engine. Every method runs on the engine's loop."""

    def __init__(self) -> None:
        self._present = Weights()
        self._retired: list[Weights] = []
        self._numbers = itertools.count(1)
        self._swapping = asyncio.Lock()

    @contextmanager
    def in_use(self) -> Iterator[Weights]:
        """Keep the present weights in the engine while a call runs."""
        weights = self._present
        weights.calls += 1
        try:
            yield weights
        finally:
            weights.calls -= 1

    async def swap(self, engine: Any, path: Path | None, version: str) -> None:
        """Have new calls sample from an adapter, or from the bare model where there is no path.

        Raises:
            BackendError: If the engine did not take it; the weights are then as they were.
        """
        async with self._swapping:
            request = None if path is None else await self._load(engine, path, version)
            self._retired.append(self._present)
            self._present = Weights(version, request)
            unused = [each for each in self._retired if not each.calls]
            self._retired = [each for each in self._retired if each.calls]
            with _told(f"give up the adapters before {version!r}"):
                for each in unused:
                    if each.request is not None:
                        await engine.remove_lora(each.request.lora_int_id)

    async def _load(self, engine: Any, path: Path, version: str) -> Any:
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        # vLLM keys its prefix cache by name and path: other weights that come in the same folder
        # under the same version must have another name
        request = LoRARequest(f"{version}#{number}", number, str(path))
        with _told(f"take adapter {version!r} from {path}"):
            async with asyncio.timeout(TIMEOUT_S):
                await engine.add_lora(request)
                held = await engine.list_loras()
        if number not in held:
            raise ServerFailed(f"vLLM took adapter {version!r} from {path} and does not list it")
        return request


@contextmanager
def _told(what: str) -> Iterator[None]:
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except TimeoutError:
        raise Unreachable(f"the vLLM engine did not {what} within {TIMEOUT_S:g} s") from None
    except EngineDeadError as error:
        raise ServerFailed(f"the vLLM engine died: {error}") from error
    except Exception as error:  # what the engine's process raised arrives as a bare Exception
        raise Refused(f"vLLM did not {what}: {error}") from error
