"""How the policy is sampled from in a step and from which seeds, in a graph as well."""

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
        """As call options of a chat backend."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


UNBENT = {"min_p": 0.0, "repetition_penalty": 1.0}
"""Options that leave the distribution of a temperature as it is."""


def samplings(prompts: Sequence[Any], trainer: GroupTrainer, step: int) -> list[Sampling]:
    """One for each prompt; seeds follow from the run's seed, the step, the prompt and the copy.

    Args:
        prompts: The prompts of this process.
        trainer: TRL's trainer, whose options say the rest.
        step: Optimizer steps done when the texts are learned from.
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
    """A seed that follows from what it is about and from nothing else."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:4])


def chance_of(*about: object) -> float:
    """A number from 0 to below 1 that follows from what it is about."""
    return int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:6]) / 2**48


class Player(ChatBackend):
    """The engine as it plays one part in one episode; its slots are those of the engine.

    Each call gets a seed of its own, made of the episode's and of what is asked: copies of a prompt
    differ whatever seeds a graph sets, and a run that resumes asks with the same ones. A part that
    is trained is sampled at the trainer's temperature and top-p, without min-p or a penalty, and no
    longer than the trainer's completions, whatever the graph asks for: the ratio of an update is
    between distributions of one temperature. A reply under a JSON schema has the log-probs of its
    grammar, which are not the policy's, so it gives them up and never becomes a row.
    """

    engine: ChatBackend
    sampling: Sampling
    is_trained: bool = True
    _repeats: Counter[str] = PrivateAttr(default_factory=Counter)
    _death: QuillError | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, engine: ChatBackend, sampling: Sampling, *, is_trained: bool = True) -> "Player":
        """Put the engine into a part, with the engine's own defaults where it is not trained."""
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
        """Why the engine itself gave way, if it did; a graph may have made another error of it."""
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
        """As the engine's, but for how it is sampled."""
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
            done = await self.engine._complete_at(request, place)
        except (ServerFailed, Unreachable) as error:
            self._death = error
            raise
        if self.is_trained and request.json_schema is not None and done.trace is not None:
            bare = done.trace.model_copy(update={"logprobs": None})
            return done.model_copy(update={"trace": bare})
        return done
