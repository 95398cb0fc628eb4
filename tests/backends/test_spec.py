"""Backends by name."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.servers.openai import OpenAIChat
from quillgraph.backends.spec import (
    BUILT_IN,
    BackendSpec,
    backend_class,
    backend_kinds,
    connect,
    foreign_kinds,
)

LOCAL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm:smollm2-135m", {"kind": "vllm", "model": "smollm2-135m"}),
        ("openai:gpt-5-mini", {"kind": "openai", "model": "gpt-5-mini"}),
        (f"openai:qwen@{LOCAL}", {"kind": "openai", "model": "qwen", "base_url": LOCAL}),
        (
            f"vllm-server:qwen@{LOCAL},http://10.0.0.2:8000/v1",
            {
                "kind": "vllm-server",
                "model": "qwen",
                "base_url": f"{LOCAL},http://10.0.0.2:8000/v1",
            },
        ),
        (
            f"openai:a/b@{LOCAL}?max_retries=0&timeout_s=3.5",
            {
                "kind": "openai",
                "model": "a/b",
                "base_url": LOCAL,
                "options": {"max_retries": "0", "timeout_s": "3.5"},
            },
        ),
        # an @ before anything but an address belongs to the name
        (
            "openai:claude-haiku-4-5@20251001",
            {"kind": "openai", "model": "claude-haiku-4-5@20251001"},
        ),
        (
            f"openai:claude-haiku-4-5@20251001@{LOCAL}",
            {"kind": "openai", "model": "claude-haiku-4-5@20251001", "base_url": LOCAL},
        ),
        (
            f"openai:@cf/meta/llama-3.1-8b-instruct@{LOCAL}?max_retries=0",
            {
                "kind": "openai",
                "model": "@cf/meta/llama-3.1-8b-instruct",
                "base_url": LOCAL,
                "options": {"max_retries": "0"},
            },
        ),
        ("openai:@cf/meta/llama", {"kind": "openai", "model": "@cf/meta/llama"}),
        ("openai:a-v1.5@q8_0", {"kind": "openai", "model": "a-v1.5@q8_0"}),
        # an address without its http:// stays one, and is refused as such
        ("openai:m@10.0.0.2", {"kind": "openai", "model": "m", "base_url": "10.0.0.2"}),
        ("openai:m@box:8000", {"kind": "openai", "model": "m", "base_url": "box:8000"}),
        (
            "openai:m@api.example.com/v1",
            {"kind": "openai", "model": "m", "base_url": "api.example.com/v1"},
        ),
        # a folder may hold an @ or a colon; only `openai` has an address
        ("transformers:./m@v2", {"kind": "transformers", "model": "./m@v2"}),
        ("transformers:C:/models/m", {"kind": "transformers", "model": "C:/models/m"}),
        ("scripted:a.yaml?x=", {"kind": "scripted", "model": "a.yaml", "options": {"x": ""}}),
    ],
)
def test_a_spec_is_taken_apart(text: str, expected: dict[str, Any]) -> None:
    assert BackendSpec.parse(text) == BackendSpec(**expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vlm:smollm2-135m", "unknown backend kind 'vlm': did you mean 'vllm'?"),
        ("smollm2-135m", "unknown backend kind 'smollm2-135m'"),
        ("", "unknown backend kind ''"),
        ("vllm", "expected KIND:MODEL, got 'vllm'"),
        ("vllm:", "expected KIND:MODEL, got 'vllm:'"),
        (f"openai:@{LOCAL}", "expected KIND:MODEL"),
        ("vllm:m?seed", "expected option=value&option=value, got 'seed'"),
        ("vllm:m?=3", "unknown option ''"),
        ("vllm:m?sede=3", "unknown option 'sede'"),
    ],
)
def test_a_broken_spec_is_refused_with_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(text)
    assert message in str(caught.value)


def test_options_become_the_fields_of_the_backend() -> None:
    chat = connect(f"openai:qwen@{LOCAL}?max_retries=0&own_sampling=true&temperature=0.2")
    assert isinstance(chat, OpenAIChat)
    assert (chat.model, chat.base_url) == ("qwen", LOCAL)
    assert (chat.max_retries, chat.own_sampling, chat.temperature) == (0, True, 0.2)


def test_options_of_the_call_win_over_those_of_the_spec() -> None:
    chat = connect(f"openai:qwen@{LOCAL}?max_concurrency=2", max_concurrency=3)
    assert chat.max_concurrency == 3


def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'max_retry' .*did you mean 'max_retr"):
        connect(f"openai:qwen@{LOCAL}?max_retry=1")


@pytest.mark.parametrize("name", ["api_key", "callbacks", "model", "base_url"])
def test_what_has_another_place_is_no_option(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown option '{name}'"):
        connect(f"openai:qwen@{LOCAL}?{name}=x")


@pytest.mark.parametrize("value", ["many", ""])
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_option(value: str) -> None:
    with pytest.raises(ConfigError, match=r"'openai', max_retries: .*integer"):
        connect(f"openai:qwen@{LOCAL}?max_retries={value}")


def test_a_script_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("rules: [{when: sea, reply: salt}]", encoding="utf-8")
    chat = connect(f"scripted:{path}?items_per_call=1")
    assert isinstance(chat, ScriptedChat)
    assert chat.invoke("sea").content == "salt"
    assert chat.capabilities.items_per_call == 1
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        connect(f"scripted:{tmp_path / 'none.yaml'}")


def test_an_unknown_built_in_model_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="smollm2-135m"):
        connect("transformers:smollm-135m")


plain = st.text("abcdefgh-_./0123456789", min_size=1)


@given(plain, st.dictionaries(st.sampled_from(["seed", "top_p", "stop"]), plain))
def test_what_a_spec_is_made_of_comes_back(model: str, options: dict[str, str]) -> None:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    spec = BackendSpec.parse(f"openai:{model}@{LOCAL}" + (f"?{query}" if query else ""))
    assert (spec.model, spec.base_url, spec.options) == (model, LOCAL, options)


def test_a_server_at_an_address_needs_no_model_here() -> None:
    chat = connect(f"vllm-server:org/unheard-of@{LOCAL},http://10.0.0.2:8000/v1?adapters=true")
    assert chat.model == "org/unheard-of"
    assert chat.capabilities.token_ids
    assert chat.capabilities.adapters
    assert not connect(f"vllm-server:m@{LOCAL}?token_ids=false").capabilities.token_ids


@pytest.mark.parametrize("address", ["nowhere:8000", f"{LOCAL},ftp://x/v1", f"{LOCAL},"])
def test_each_address_of_a_server_is_checked(address: str) -> None:
    with pytest.raises(ConfigError, match="expected an address"):
        connect(f"vllm-server:m@{address}")


@pytest.mark.parametrize("kind", ["vllm", "vllm-server"])
def test_the_rank_of_adapters_can_be_written_in_a_spec(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    chat: Any = connect(f"{kind}:{tmp_path}?max_lora_rank=16")
    assert chat.max_lora_rank == 16
    with pytest.raises(ConfigError, match="max_lora_rank"):
        connect(f"{kind}:{tmp_path}?max_lora_rank=17")


PACKAGE = """
from quillgraph.backends import ScriptedChat

class Echo(ScriptedChat):
    takes_address = True
    base_url: str | None = None

    @classmethod
    def from_spec(cls, model, base_url, options):
        return cls(reply=lambda _: model, base_url=base_url, **options)

NO_BACKEND = 3
"""


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with backends of its own."""
    (tmp_path / "echo_backend.py").write_text(PACKAGE)
    info = tmp_path / "echo_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[quillgraph.backends]\n"
        "echo = echo_backend:Echo\n"
        "echo-of-old = echo_backend_of_old:Echo\n"
        "echo-misspelt = echo_backend:Ecco\n"
        "echo-number = echo_backend:NO_BACKEND\n"
        "scripted = echo_backend:Echo\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    foreign_kinds.cache_clear()
    yield
    foreign_kinds.cache_clear()
    sys.modules.pop("echo_backend", None)


@pytest.mark.usefixtures("other_package")
def test_a_kind_of_another_package_is_connected_by_its_name() -> None:
    assert "echo" in backend_kinds()
    assert "echo_backend" not in sys.modules  # nothing is imported until it is used
    chat: Any = connect(f"echo:sea@{LOCAL}?max_tokens=3")
    assert (chat.base_url, chat.max_tokens) == (LOCAL, 3)
    assert chat.invoke("hi").content == "sea"
    with pytest.raises(ConfigError, match=r"unknown option 'max_token' of backend 'echo': did you"):
        connect("echo:sea?max_token=3")


@pytest.mark.usefixtures("other_package")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "echo-of-old",
            "of echo-backend cannot be loaded from echo_backend_of_old:Echo: No module",
        ),
        ("echo-misspelt", "of echo-backend cannot be loaded from echo_backend:Ecco: "),
        ("echo-number", "of echo-backend: expected a subclass of quillgraph.backends.ChatBackend"),
    ],
)
def test_a_kind_that_cannot_be_loaded_is_named_with_its_package(kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"backend '{kind}' {message}"):
        connect(f"{kind}:sea")


@pytest.mark.usefixtures("other_package")
def test_a_built_in_kind_keeps_its_meaning() -> None:
    assert backend_class("scripted") is ScriptedChat
    assert backend_kinds().count("scripted") == 1


@pytest.mark.usefixtures("other_package")
def test_an_unknown_kind_is_refused_with_the_nearest_one_whoever_offers_it() -> None:
    with pytest.raises(ConfigError, match=r"unknown backend kind 'ecko': did you mean 'echo'"):
        connect("ecko:sea")
    with pytest.raises(ValidationError, match="did you mean 'echo'"):
        BackendSpec(kind="ecko", model="sea")


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_built_in_kind_is_a_backend(kind: str) -> None:
    backend = backend_class(kind)
    assert issubclass(backend, ChatBackend)
    # an engine is started for adapters only where there are some
    assert backend.rank_option is None or backend.takes_adapters
    assert backend.rank_option is None or backend.rank_option in (backend.spec_options() or ())
    assert backend.takes_address == ("base_url" in backend.model_fields)
