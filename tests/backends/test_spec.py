"""Backends by name."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.servers.openai import OpenAIChat
from quillgraph.backends.spec import BackendSpec, connect

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
        # a folder may hold an @ or a colon; only `openai` has an address
        ("transformers:./m@v2", {"kind": "transformers", "model": "./m@v2"}),
        ("transformers:C:/models/m", {"kind": "transformers", "model": "C:/models/m"}),
        ("scripted:a.yaml?x=", {"kind": "scripted", "model": "a.yaml", "options": {"x": ""}}),
    ],
)
def test_a_spec_is_taken_apart(text: str, expected: dict[str, Any]) -> None:
    assert BackendSpec.parse(text) == BackendSpec(**expected)


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_a_broken_spec_is_refused_with_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(text)
    assert told in str(caught.value)


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


@pytest.mark.parametrize("address", ["nowhere", f"{LOCAL},ftp://x/v1", f"{LOCAL},"])
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
