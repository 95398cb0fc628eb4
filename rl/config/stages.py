"""The stages of a training as a configuration describes them: `sft:` and `rl:`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from quillgraph.agents.domain import Value
from quillgraph.graphs.memory import MOST_LESSONS

Options = dict[str, Any]
"""Options of a TRL trainer, by TRL's own names; checked when the trainer is known."""

OwnPath = Annotated[
    Path, BeforeValidator(lambda raw: Path(raw).expanduser() if isinstance(raw, str) else raw)
]


class LessonsConfig(Value):
    """Lessons of earlier episodes, in the prompts of some rollouts (`ALGORITHM.md` 6.5)."""

    memory: OwnPath
    """Memory of `quillgraph write`."""
    share: float = Field(default=0.25, gt=0, le=1)
    """Chance that the prompt of a rollout holds lessons, p, where its request has any."""
    most: int = Field(default=MOST_LESSONS, ge=1)


class RlConfig(Value):
    """The reinforcement learning stage."""

    algorithm: Literal["mrpo", "grpo"] = "mrpo"
    options: Options = Field(default_factory=dict)
    """TRL's `GRPOConfig`; with mrpo also the fields of `MRPOConfig`."""
    rollouts: str | None = None
    """Backend of the rollouts, such as `vllm:smollm2-135m`, which gets each step's adapter; None
    generates with the trainer's own model, and for a graph with `transformers:` of the model."""
    graph: str | None = None
    """Graph that each text is an episode of: one of `quillgraph graphs`, `module:attribute` or
    `file.py:attribute`. None asks the policy once for each text."""
    trainable: tuple[str, ...] = ()
    """Roles of the graph that are trained; empty takes the writer, or the only role there is."""
    roles: dict[str, str] = Field(default_factory=dict)
    """Backends of other roles; the policy plays the rest, and the judge is that of `rewards`."""
    start: dict[str, Any] = Field(default_factory=dict)
    """The graph's input beside the request and its criteria, as `quillgraph run` takes it."""
    measures: dict[str, int] = Field(default_factory=dict)
    """Numbers that the graph's context takes, such as `rounds`."""
    credit: Literal["uniform", "evidence", "service"] = "uniform"
    """How an episode's advantage is divided among its calls (`rl.mrpo.credit`)."""
    credit_per_role: bool = False
    """Whether the rows of each role are then normalised to the same mean and spread."""
    lessons: LessonsConfig | None = None
    """None puts no lessons into prompts."""
    prompts: Literal["shuffled", "middling"] = "shuffled"
    """`shuffled` goes through all requests in each epoch; `middling` draws those whose rewards are
    neither high nor low more often (`rl.mrpo.prompts`)."""
    terms: dict[str, float] = Field(default_factory=dict)
    """Further terms of the loss, each `module:function` or `file.py:function` with its weight: a
    function from `rl.Rows` to a tensor, or an `rl.Term`."""
    overlap: bool = False
    """Whether the engine writes the texts of the next step during the present update; they are then
    one step behind the policy, which the ratios of the update account for."""

    @property
    def has_engine(self) -> bool:
        """Whether an engine writes the texts, instead of TRL's own generation."""
        return any(each is not None for each in (self.rollouts, self.graph, self.lessons))

    @model_validator(mode="after")
    def _order_terms_and_overlap_are_for_mrpo(self) -> RlConfig:
        if self.overlap and self.rollouts is None:
            raise ValueError(
                "rl.overlap writes texts during the update, for which it needs an engine of its "
                "own: set rl.rollouts"
            )
        if self.terms and self.algorithm == "grpo":
            raise ValueError(
                "TRL's own trainer has its own loss and no further terms: with rl.terms set "
                "algorithm: mrpo, which is GRPO with replay_weight: 0 and anchor_weight: 0"
            )
        if self.prompts == "middling" and self.algorithm == "grpo":
            raise ValueError(
                "TRL's own trainer deals prompts in epochs: with rl.prompts: middling set "
                "algorithm: mrpo, which is GRPO with replay_weight: 0 and anchor_weight: 0"
            )
        if self.overlap and self.algorithm == "grpo":
            raise ValueError(
                "outside its own vLLM, TRL's trainer assumes that the present policy wrote every "
                "text: with rl.overlap set algorithm: mrpo, which is GRPO with replay_weight: 0 "
                "and anchor_weight: 0"
            )
        return self

    @model_validator(mode="after")
    def _graphs_are_for_mrpo(self) -> RlConfig:
        of_graph = ("trainable", "roles", "start", "measures", "credit", "credit_per_role")
        names = [name for name in of_graph if name in self.model_fields_set]
        if names and self.graph is None:
            raise ValueError(
                f"rl.{names[0]} is about the episodes of a graph: set rl.graph as well"
            )
        if self.graph is not None and self.algorithm == "grpo":
            raise ValueError(
                "TRL's own trainer learns from one call of an episode; for a graph set algorithm: "
                "mrpo, which is GRPO with replay_weight: 0 and anchor_weight: 0"
            )
        if self.lessons is None:
            return self
        if self.graph is not None:
            raise ValueError(
                "rl.lessons go into the prompt of a single call, and a graph shows its writer what "
                "it recalls itself: leave rl.lessons or rl.graph out"
            )
        if self.algorithm == "grpo":
            raise ValueError(
                "TRL's own trainer cannot train a text under another prompt than it was written "
                "under: with rl.lessons set algorithm: mrpo"
            )
        return self


class Collect(Value):
    """How to collect episodes for the SFT stage where no files name any."""

    graph: Literal["best_of_n", "reflection"] = "best_of_n"
    texts: int = Field(default=8, ge=2)
    """Texts for each request: drafts, or one draft and its revisions."""
    backend: str | None = None
    """Backend of the writer; None is the policy itself."""


class SftConfig(Value):
    """The stage before reinforcement: imitation of the best texts of episodes."""

    episodes: tuple[OwnPath, ...] = ()
    """`episode.json` files, folders that hold such files, or JSON lines of episodes."""
    collect: Collect | None = Collect()
    """None uses `episodes` alone."""
    top_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the accepted texts to imitate, the best first (`ALGORITHM.md` 6.5)."""
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
