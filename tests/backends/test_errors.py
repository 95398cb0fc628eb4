"""The error tree."""

import pickle

import pytest

from quillgraph.backends import errors
from quillgraph.backends.errors import (
    BackendError,
    BudgetReached,
    ConfigError,
    ContextOverflow,
    InputError,
    QuillError,
    RateLimited,
    Refused,
    ReplyError,
    ServerFailed,
    StorageError,
    TimedOut,
    Unreachable,
    nearest,
)


def tree(root: type[QuillError]) -> list[type[QuillError]]:
    ours = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root] + [kind for child in ours for kind in tree(child)]


@pytest.mark.parametrize("kind", tree(QuillError), ids=lambda kind: kind.__name__)
def test_every_error_crosses_a_process_border(kind: type[QuillError]) -> None:
    args = ("a JSON object", "so be it", "ask again") if kind is ReplyError else ("what happened",)
    back = pickle.loads(pickle.dumps(kind(*args)))
    assert type(back) is kind
    assert back.args == args
    assert str(back) == str(kind(*args))


@pytest.mark.parametrize("kind", tree(QuillError), ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_at_the_top_of_the_module(kind: type[QuillError]) -> None:
    assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ConfigError, 2),
        (InputError, 2),
        (StorageError, 1),
        (BackendError, 3),
        (Unreachable, 3),
        (ReplyError, 3),
        (BudgetReached, 4),
    ],
)
def test_exit_statuses_are_those_of_the_command(kind: type[QuillError], status: int) -> None:
    assert kind.exit_status == status


def test_only_what_may_pass_by_itself_is_worth_another_try() -> None:
    retryable = {kind for kind in tree(QuillError) if kind.retryable}
    assert retryable == {Unreachable, TimedOut, RateLimited, ServerFailed}
    assert not Refused.retryable
    assert not ContextOverflow.retryable


def test_errors_are_also_the_standard_ones_that_callers_expect() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(InputError, ValueError)
    assert issubclass(StorageError, OSError)


def test_an_unread_reply_is_carried_whole_and_shown_in_part() -> None:
    error = ReplyError("a JSON object", "x" * 500)
    assert error.reply == "x" * 500
    assert str(error) == f"expected a JSON object, got {'x' * 200!r}"


def test_a_mistyped_name_meets_the_nearest_valid_one() -> None:
    assert nearest("temprature", ["top_p", "temperature"]) == (
        "did you mean 'temperature'? valid: temperature, top_p"
    )


def test_a_name_like_no_other_gets_the_valid_ones_and_no_guess() -> None:
    assert nearest("zzz", ["top_p", "seed"]) == "valid: seed, top_p"
