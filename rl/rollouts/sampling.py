"""Sampling options and seeds of the policy in a step, also within a graph."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from quillgraph.backends.calls import Place
from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import QuillError, ServerFailed, Unreachable
from quillgraph.backends.runtime import Limiter
from quillgraph.rl.columns import key_of
from quillgraph.rl.trainers import GroupTrainer


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one text of a step is sampled."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    def options(self) -> dict[str, Any]:
        """The call options of a chat backend."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


UNBENT = {"min_p": 0.0, "repetition_penalty": 1.0}
"""Neutral values of options that would change the distribution."""


def samplings(prompts: Sequence[Any], trainer: GroupTrainer, step: int) -> list[Sampling]:
    """Make one sampling per prompt; its seed follows from run seed, step, prompt and copy.

    Args:
        prompts: The prompts of this process.
        trainer: TRL's trainer, whose options set the rest.
        step: Optimizer steps done when the update uses the texts.
    """
    first = trainer.accelerator.process_index * len(prompts)
    return [
        Sampling(
            temperature=trainer.temperature,
            top_p=trainer.top_p,
            max_tokens=trainer.max_completion_length,
            seed=seed_of(trainer.args.seed, step, key_of(prompt), first + number),
        )
        for number, prompt in enumerate(prompts)
    ]


def seed_of(*about: object) -> int:
    """A seed that depends only on the arguments."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:4])


def chance_of(*about: object) -> float:
    """A pseudo-random number in [0, 1) that depends only on the arguments."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:6]) / 2**48


class Player(ChatBackend):
    """The engine in one role of one episode; it shares the slots of the engine.

    Each call gets its own seed, from the episode's seed and the request: copies of a prompt differ
    whatever seeds a graph sets, and a resumed run uses the same seeds. A trained role is sampled at
    the trainer's temperature and top-p, without min-p or a penalty, and no longer than the
    trainer's completions, whatever the graph sets: the ratio of an update needs distributions of
    one temperature. A reply under a JSON schema has the log-probs of its grammar, which are not the
    policy's, so they are dropped and the reply never becomes a row.
    """

    engine: ChatBackend
    sampling: Sampling
    is_trained: bool = True
    _repeats: Counter[str] = PrivateAttr(default_factory=Counter)
    _death: QuillError | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, engine: ChatBackend, sampling: Sampling, *, is_trained: bool = True) -> "Player":
        """Make a player for a role, with the engine's own defaults if the role is not trained."""
        return cls(
            model=engine.model,
            temperature=engine.temperature,
            top_p=engine.top_p,
            max_tokens=engine.max_tokens,
            max_concurrency=engine.max_concurrency,
            engine=engine,
            sampling=sampling,
            is_trained=is_trained,
        )

    @property
    def death(self) -> QuillError | None:
        """Failure of the engine itself, if any; a graph may have turned it into another error."""
        return self._death

    @cached_property
    def limiter(self) -> Limiter:
        """The slots of the engine."""
        return self.engine.limiter

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        return self.engine.capabilities

    @property
    def _llm_type(self) -> str:
        return "quillgraph-player"

    def build_request(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None = None, **options: Any
    ) -> ChatRequest:
        """Build the engine's request, with the sampling of the episode."""
        request = super().build_request(messages, stop, **options)
        again = self._repeats[request.sha256]
        self._repeats[request.sha256] += 1
        about = f"{self.sampling.seed}/{request.sha256}/{again}"
        seed = int.from_bytes(hashlib.sha256(about.encode()).digest()[:4]) >> 1
        fixed: dict[str, Any] = {"seed": seed}
        if self.is_trained:
            fixed |= {
                **self.sampling.options(),
                **UNBENT,
                "seed": seed,
                "max_tokens": min(request.max_tokens, self.sampling.max_tokens),
            }
        return super().build_request(messages, stop, **options | fixed)

    async def _complete(self, request: ChatRequest) -> Completion:
        return await self._complete_at(request, Place())

    async def _complete_at(self, request: ChatRequest, place: Place) -> Completion:
        try:
            completion = await self.engine._complete_at(request, place)
        except (ServerFailed, Unreachable) as error:
            self._death = error
            raise
        if self.is_trained and request.json_schema is not None and completion.trace is not None:
            bare = completion.trace.model_copy(update={"logprobs": None})
            return completion.model_copy(update={"trace": bare})
        return completion
