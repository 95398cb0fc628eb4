"""Secrets that a process knows, and texts without them."""

import pytest
from pydantic import BaseModel, SecretStr

from quillgraph.backends.calls.redaction import Redaction, is_secret


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("at https://me:hush@host/v1", "at https://***@host/v1"),
        ("at redis://:hush@host", "at redis://***@host"),
        ("Authorization: Basic abc=", "Authorization: ***"),
        ("sent Bearer abcdefg now", "sent Bearer *** now"),
        ("https://host:8000/v1 is up @ noon", "https://host:8000/v1 is up @ noon"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    assert Redaction()(text) == left


def test_the_environments_secrets_are_known_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SOME_API_KEY", "HF_TOKEN", "DB_PASSWORD"):
        monkeypatch.setenv(name, f"value-of-{name}")
    monkeypatch.setenv("MONKEY", "lighthouse")
    monkeypatch.setenv("SHORT_KEY", "yes")
    text = "value-of-SOME_API_KEY, value-of-HF_TOKEN and value-of-DB_PASSWORD; lighthouse, yes"
    assert Redaction().of_known(text) == "***, *** and ***; lighthouse, yes"


def test_a_models_keys_are_learned_wherever_they_lie() -> None:
    class Inner(BaseModel):
        key: SecretStr = SecretStr("inner-secret")

    class Outer(BaseModel):
        key: SecretStr = SecretStr("inner-secret-and-longer")
        inner: Inner = Inner()

    redaction = Redaction()
    redaction.learn(Outer())
    # the longer one first: else its end would stay
    assert redaction("inner-secret-and-longer inner-secret") == "*** ***"
    nested = {"inner-secret": ["x", {"a": "inner-secret"}, 1, None]}
    assert redaction.throughout(nested) == {"***": ["x", {"a": "***"}, 1, None]}


@pytest.mark.parametrize("name", ["api_key", "apikey", "openai_api_key", "TOKEN", "client_secret"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "monkey", "keys", "model", "secretary"])
def test_other_names_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret(name)
