"""Options of TRL's trainers are known or refused, and joined with what a run decides."""

from dataclasses import dataclass
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.rl.run import arguments as of_trainers
from quillgraph.rl.run.arguments import trainer_args


@dataclass
class Arguments:
    output_dir: str = ""
    seed: int = 0
    learning_rate: float = 1e-3
    warmup: int = 0
    bf16: bool = False
    use_cpu: bool = False
    rates: list[float] | None = None
    output: str = ""
    schedule: dict[str, Any] | str | None = None

    def __post_init__(self) -> None:
        if self.warmup > 10:
            raise ValueError("warmup is\ntoo long")


def test_options_of_a_trainer_win_over_what_the_run_decides() -> None:
    args = trainer_args(
        Arguments, {"learning_rate": 1.0}, {"learning_rate": 2.0, "seed": 4, "other": 1}, "rl"
    )
    assert (args.learning_rate, args.seed) == (1.0, 4)


@pytest.mark.parametrize(
    ("options", "decided", "multiplies", "is_multiplied"),
    [
        ({"bf16": "auto"}, {"bf16": True, "use_cpu": False}, False, True),
        ({"bf16": "auto"}, {"bf16": False, "use_cpu": True}, True, True),
        ({"bf16": "auto"}, {"bf16": False, "use_cpu": True}, False, False),
        ({"bf16": "auto", "use_cpu": True}, {"bf16": True, "use_cpu": False}, False, False),
        ({"bf16": True}, {"bf16": False, "use_cpu": True}, False, True),
        ({}, {"bf16": False, "use_cpu": True}, True, False),
    ],
)
def test_bf16_auto_goes_by_the_device(
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    decided: dict[str, Any],
    multiplies: bool,
    is_multiplied: bool,
) -> None:
    monkeypatch.setattr(of_trainers, "multiplies_bfloat16", lambda: multiplies)
    assert trainer_args(Arguments, options, decided, "rl").bf16 is is_multiplied


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        # YAML reads 1e-5 as a string: its floats need a point
        ("learning_rate", "1e-5", 1e-5),
        ("learning_rate", "3.0e-4", 3e-4),
        ("warmup", "8", 8),
        ("bf16", "no", False),
        ("rates", ["1e-1", 1], [0.1, 1.0]),
        # what is a string stays one
        ("output", "1e-5", "1e-5"),
        ("schedule", "1e-5", "1e-5"),
    ],
)
def test_an_option_that_yaml_has_as_a_string_is_read_as_its_field_wants(
    option: str, value: Any, read: Any
) -> None:
    got = getattr(trainer_args(Arguments, {option: value}, {}, "rl"), option)
    assert (got, type(got)) == (read, type(read))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rat": 1}, "unknown option 'rl.learning_rat': did you mean 'learning_rate'?"),
        ({"seed": 1}, "rl.seed: set seed instead"),
        ({"output_dir": "x"}, "rl.output_dir: set out instead"),
        ({"save_only_model": True}, "rl.save_only_model: set nothing: a run resumes from"),
        ({"warmup": 11}, "rl: warmup is too long"),
        ({"learning_rate": "ten"}, "rl.learning_rate: .* valid number.*, got 'ten'"),
        ({"warmup": "1e2"}, "rl.warmup: .* valid integer.*, got '1e2'"),
    ],
)
def test_options_that_are_unknown_owned_or_wrong_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer_args(Arguments, options, {}, "rl")
