"""What the engine saw and said, token by token."""

from typing import Self

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, model_validator


class TokenTrace(BaseModel):
    """The tokens of one call, exactly as the engine read and wrote them.

    Training reads these ids and never tokenises text again: a decoded and re-encoded reply need
    not have the tokens that were sampled (`peers.md` C1 measures what that does to a run).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each completion token under the distribution that it was
    sampled from, after temperature, top-p and grammar; None where the engine gives none."""
    finish_reason: str
    weights_version: str = "base"

    @model_validator(mode="after")
    def _one_logprob_per_token(self) -> Self:
        if self.logprobs is not None and len(self.logprobs) != len(self.completion_ids):
            raise ValueError(
                f"expected one log-prob per completion token, got {len(self.logprobs)} "
                f"for {len(self.completion_ids)} tokens"
            )
        return self


def trace_of(message: BaseMessage) -> TokenTrace | None:
    """Read the trace that a native backend left on its message; None if there is none."""
    raw = message.response_metadata.get("token_trace")
    return None if raw is None else TokenTrace.model_validate(raw)
