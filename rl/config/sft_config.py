"""What the stage of imitation may be told: whose texts are imitated, and how many of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from quillgraph.agents.domain import Value
from quillgraph.rl.config.stages import Options, OwnPath


class Collect(Value):
    """How episodes for the SFT stage are made, if no files of them are given."""

    graph: Literal["best_of_n", "reflection"] = "best_of_n"
    texts: int = Field(default=8, ge=2)
    """Drafts for each request, or one draft and so many revisions less one."""
    backend: str | None = None
    """Backend of the writer; None is the policy itself."""


class SftConfig(Value):
    """The stage before reinforcement: imitation of the best texts of episodes."""

    episodes: tuple[OwnPath, ...] = ()
    """`episode.json` files, folders with such, or JSON lines of episodes."""
    collect: Collect | None = Collect()
    """None takes nothing but `episodes`."""
    top_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the accepted revisions, the best first, that are imitated (`ALGORITHM.md` 6.5)."""
    mix: tuple[float, float, float] = (0.7, 0.2, 0.1)
    """Shares of the targets: write, revise, criticise."""
    options: Options = Field(default_factory=dict)
    """TRL's `SFTConfig`."""

    @model_validator(mode="after")
    def _has_a_source(self) -> SftConfig:
        if not self.episodes and self.collect is None:
            raise ValueError("expected episodes or collect, got neither: nothing to imitate")
        if self.episodes and self.collect is not None and "collect" in self.model_fields_set:
            raise ValueError("expected episodes or collect, got both: leave one out")
        if min(self.mix) < 0 or sum(self.mix) <= 0:
            raise ValueError(f"expected shares that are not negative, got {self.mix}")
        return self
