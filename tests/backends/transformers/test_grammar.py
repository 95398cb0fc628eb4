"""What a reply is held to, over the tokens of the built-in model."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("llguidance")
pytest.importorskip("torch")

from quillgraph.backends.messages.hermes import format_call
from quillgraph.backends.messages.request import ChatRequest
from quillgraph.backends.messages.tools import offer
from quillgraph.backends.transformers.grammar import Grammars, is_bound

pytestmark = pytest.mark.model


def look(place: Literal["sea", "hill"], closely: bool = False) -> str:
    """Look at a place."""
    return place


def wait(hours: int) -> str:
    """Let hours pass."""
    return str(hours)


def request(choice: str | None, **fields: Any) -> ChatRequest:
    offered = offer([look, wait], choice)
    return ChatRequest(messages=(), temperature=0.0, top_p=1.0, max_tokens=8, **offered, **fields)


@pytest.fixture(scope="module")
def tokenizer(smollm2_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2_folder)


@pytest.fixture(scope="module")
def grammars(smollm2_folder: Path, tokenizer: Any) -> Grammars:
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(smollm2_folder)
    config.update({"num_hidden_layers": 1})  # of the model, its number of tokens alone is read
    return Grammars(LlamaForCausalLM(config), tokenizer, (2,))


CALLS = [
    ("look", '{"place": "sea"}', True),
    ("look", '{"place": "hill", "closely": true}', True),
    ("wait", '{"hours": 3}', True),
    ("look", '{"place": "sky"}', False),
    ("look", '{"place": "sea", "loudly": true}', False),
    ("look", '{"place":"sea"}', False),
    ("look", "{}", False),
    ("sing", "{}", False),
]


@pytest.mark.parametrize(("name", "arguments", "fits"), CALLS)
def test_a_call_that_must_be_made_is_one_of_the_tools_with_its_arguments(
    grammars: Grammars, tokenizer: Any, name: str, arguments: str, fits: bool
) -> None:
    ids = [*tokenizer.encode(format_call(name, arguments), add_special_tokens=False), 2]
    anyone = grammars.matcher(request("required"))
    assert (anyone.validate_tokens(ids) == len(ids)) is fits
    named = grammars.matcher(request("look"))
    assert (named.validate_tokens(ids) == len(ids)) is (fits and name == "look")


def test_xgrammar_holds_a_call_to_the_same() -> None:
    pytest.importorskip("xgrammar")
    from xgrammar import Grammar
    from xgrammar.testing import _is_grammar_accept_string as accepts

    from quillgraph.backends.vllm.exchange import call_grammar

    anyone = Grammar.from_ebnf(call_grammar(request("required")))
    named = Grammar.from_ebnf(call_grammar(request("look")))
    for name, arguments, fits in CALLS:
        call = format_call(name, arguments)
        assert accepts(anyone, call) is fits, call
        assert accepts(named, call) is (fits and name == "look"), call


def test_only_a_schema_or_a_call_that_must_be_made_bind_a_reply() -> None:
    assert not is_bound(request(None))
    assert not is_bound(request("none"))
    assert is_bound(request("look"))
    assert is_bound(request(None, json_schema=json.loads('{"type": "object"}')))
