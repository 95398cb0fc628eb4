"""The configuration of a training run: one YAML file; unknown names are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from quillgraph.agents.domain import Value
from quillgraph.agents.judges import is_scorer
from quillgraph.agents.text import parse_yaml, read_text
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.backends.weights import NumberFormat
from quillgraph.rl.config.stages import OwnPath, RlConfig, SftConfig
from quillgraph.rl.rewards.rules import RewardRules

LENGTH = "max_completion_length"
"""TRL's name for the maximum length of a text in tokens."""

NO_LIMIT = 256
"""Maximum tokens of a text where the configuration sets none; TRL's own default."""


class Lora(Value):
    """The adapter that is trained."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"


class ModelConfig(Value):
    """The policy."""

    name: str
    """A built-in name, a folder or a hub id."""
    adapter: OwnPath | None = None
    """An adapter to start from; None starts a new one."""
    dtype: NumberFormat = "float32"
    lora: Lora | None = Lora()
    """None trains all weights."""

    @model_validator(mode="after")
    def _an_adapter_is_lora(self) -> ModelConfig:
        if self.adapter is not None and self.lora is None:
            raise ValueError("an adapter to start from and lora: null contradict each other")
        if self.adapter is not None and "lora" in self.model_fields_set:
            raise ValueError("an adapter to start from has its own rank and layers: leave lora out")
        return self


class DataConfig(Value):
    """The requests."""

    prompts: OwnPath
    """JSON lines with `request` and `split`, which is `train` or `held_out`."""
    prompt: Literal["request", "writer"] = "request"
    """What the policy reads: the bare request, which is what a small model reads in `quillgraph
    write` (`Role.chooses`), or the prompt of a larger model's writer there."""
    text_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a text, in every stage; None: `rl.options.max_completion_length`, else 256."""


class CriteriaConfig(Value):
    """Where the criteria of each request come from, before anything is trained."""

    study: Literal["hard", "full"] = "full"
    """`full` runs the Grounded-Theory workflow; `hard` keeps to what rules find and code checks."""
    backend: str | None = None
    """Backend of the study; None takes the best that this machine can run."""
    embeddings: str = "minilm"
    drafts: int = Field(default=4, ge=0, le=16)
    cache: OwnPath | None = None
    """Folder with the criteria of earlier runs, by request; new criteria are added to it."""

    @model_validator(mode="after")
    def _hard_asks_no_model(self) -> CriteriaConfig:
        options = {"backend", "drafts"} & self.model_fields_set
        if self.study == "hard" and options:
            raise ValueError(f"study: hard asks no model: leave {min(options)} out, or take full")
        return self


class RewardsConfig(Value):
    """What a text is worth."""

    judge: str | None = None
    """Backend that scores the soft criteria, or a trained scorer as `scorer:FOLDER`; None rewards
    only what code can check."""
    samples: int = Field(default=1, ge=1, le=9)
    rules: RewardRules = RewardRules()
    functions: tuple[str, ...] = ()
    """Further reward functions, as `module:function` or `file.py:function`; they are added, each
    with weight 1 unless `rl.options.reward_weights` says otherwise."""

    @model_validator(mode="after")
    def _is_all_used(self) -> RewardsConfig:
        if "samples" in self.model_fields_set and (self.judge is None or is_scorer(self.judge)):
            raise ValueError(
                "samples are replies of a judge that is a model: set judge to one, or leave "
                "samples out"
            )
        if "seed" in self.rules.model_fields_set:
            raise ValueError("rules.seed is the run's: set seed instead")
        return self


class EvaluationConfig(Value):
    """How the policy is evaluated on held-out requests, which it is not trained on."""

    every: int = Field(default=25, ge=0)
    """Steps between evaluations; 0 evaluates only at the beginning and at the end."""
    texts: int = Field(default=4, ge=1)
    """Texts for each held-out request."""
    most_requests: int | None = Field(default=None, ge=1)


class CheckpointConfig(Value):
    """When the whole state is saved."""

    every: int = Field(default=25, ge=1)
    keep: int = Field(default=2, ge=1)


class GuardConfig(Value):
    """When a reward is no longer trusted (`ALGORITHM.md` 6.3.11)."""

    pairwise_every: int = Field(default=25, ge=1)
    pairwise_judge: str | None = None
    """Backend that compares texts without criteria; None compares none."""
    prompts: int = Field(default=20, ge=1)
    """Held-out requests that are compared."""
    least_win_rate: float = Field(default=0.45, ge=0, le=1)
    stop_on_drift: bool = False
    """Whether a drift of length, form or self-praise stops the run; otherwise it is a warning."""

    @model_validator(mode="after")
    def _comparing_takes_a_judge(self) -> GuardConfig:
        options = {"pairwise_every", "prompts", "least_win_rate"} & self.model_fields_set
        if options and self.pairwise_judge is None:
            raise ValueError(f"{min(options)} is about comparisons: set pairwise_judge as well")
        return self


class TrainConfig(Value):
    """The configuration of a whole training run."""

    model: ModelConfig
    data: DataConfig
    criteria: CriteriaConfig = CriteriaConfig()
    rewards: RewardsConfig = RewardsConfig()
    sft: SftConfig | None = None
    rl: RlConfig | None = None
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    guards: GuardConfig = GuardConfig()
    report_to: tuple[str, ...] = ()
    """Experiment trackers, by TRL's names: wandb, trackio, tensorboard."""
    seed: int = 0
    out: OwnPath | None = None

    @model_validator(mode="after")
    def _has_a_stage(self) -> TrainConfig:
        if self.sft is None and self.rl is None:
            raise ValueError("expected sft, rl or both, got neither: there is nothing to train")
        return self

    @model_validator(mode="after")
    def _rules_fit_the_algorithm(self) -> TrainConfig:
        if self.rl is None or self.rl.algorithm != "mrpo":
            return self
        if self.rewards.rules.diversity:
            raise ValueError(
                "rewards.rules.diversity: texts in memory have no diversity term; use grpo, or 0"
            )
        if not self.rewards.rules.gate:
            raise ValueError(
                "rewards.rules.gate: with mrpo the trainer applies the gate, to remembered texts "
                "as well; set rl.options.hard_gate: false instead"
            )
        return self

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainConfig:
        length = self.rl.options.get(LENGTH) if self.rl else None
        if None not in (length, self.data.text_tokens) and length != self.data.text_tokens:
            raise ValueError(
                f"data.text_tokens is {self.data.text_tokens} and rl.options.{LENGTH} {length}; "
                "both say how long a text may be, so leave one out"
            )
        return self

    @property
    def text_tokens(self) -> int:
        """Most tokens of a text."""
        length = self.rl.options.get(LENGTH) if self.rl else None
        return int(self.data.text_tokens or length or NO_LIMIT)


def load_config(path: Path, **overrides: Any) -> TrainConfig:
    """Read a training run's configuration.

    Paths in it are relative to the file. Values in `overrides` replace the file's unless None.

    Raises:
        InputError: If the file cannot be read.
        ConfigError: On an unknown name, a value that does not fit, or options that contradict
            each other.
    """
    text = read_text(path)
    try:
        data = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"expected YAML in {path}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping in {path}, got {type(data).__name__}")
    data |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return _anchored(TrainConfig.model_validate(data), path.parent)
    except ValidationError as error:
        raise ConfigError(f"{path}, {_complaint(error)}") from error


def _anchored(config: TrainConfig, folder: Path) -> TrainConfig:
    """Resolve relative paths against the folder of the file, except the output folder."""

    def near(path: Path | None) -> Path | None:
        return path if path is None or path.is_absolute() else folder / path

    update: dict[str, Any] = {
        "model": config.model.model_copy(update={"adapter": near(config.model.adapter)}),
        "data": config.data.model_copy(update={"prompts": near(config.data.prompts)}),
        "criteria": config.criteria.model_copy(update={"cache": near(config.criteria.cache)}),
    }

    def resolved(name: str) -> str:
        """Resolve the file in `file.py:attribute`; leave any other name alone."""
        file, colon, attribute = name.rpartition(":")
        return (
            f"{near(Path(file).expanduser())}{colon}{attribute}" if file.endswith(".py") else name
        )

    update["rewards"] = config.rewards.model_copy(
        update={"functions": tuple(map(resolved, config.rewards.functions))}
    )
    if config.rl:
        lessons, graph = config.rl.lessons, config.rl.graph
        near_lessons = lessons and lessons.model_copy(update={"memory": near(lessons.memory)})
        terms = {resolved(name): weight for name, weight in config.rl.terms.items()}
        update["rl"] = config.rl.model_copy(
            update={"lessons": near_lessons, "graph": graph and resolved(graph), "terms": terms}
        )
    if config.sft:
        update["sft"] = config.sft.model_copy(
            update={"episodes": tuple(map(near, config.sft.episodes))}
        )
    return config.model_copy(update=update)


def _complaint(error: ValidationError) -> str:
    """The first error, with the name that was probably meant."""
    first = error.errors(include_url=False)[0]
    place = [part for part in first["loc"] if isinstance(part, str)]
    name = ".".join(map(str, first["loc"])) or "the whole"
    if first["type"] == "extra_forbidden":
        return f"unknown option {name!r}: {nearest(place[-1], _fields(place[:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    value = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r}"
    return f"{name}: {message[0].lower()}{message[1:]}{value}"


def _fields(place: list[str]) -> list[str]:
    """Valid option names at a place of the configuration."""
    kind: Any = TrainConfig
    for part in place:
        annotation = kind.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))
        kind = next(each for each in kinds if isinstance(each, type) and issubclass(each, Value))
    return list(kind.model_fields)
