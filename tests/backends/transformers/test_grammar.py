"""What a reply is held to, over the tokens of the built-in model."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

pytest.importorskip("llguidance")
pytest.importorskip("torch")

from quillgraph.backends.messages.bounds import is_bound
from quillgraph.backends.messages.hermes import format_call
from quillgraph.backends.messages.request import ChatRequest
from quillgraph.backends.messages.tools import offer
from quillgraph.backends.transformers.grammar import Grammars
from quillgraph.backends.vllm.exchange import sampling_params
from quillgraph.backends.vllm.options import ENGINE_OPTIONS

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


def vllm_matcher(tokenizer: Any, asked: ChatRequest) -> Any:
    """What the engine of vLLM makes of a request, by its own functions."""
    from llguidance import LLMatcher
    from llguidance.hf import from_tokenizer
    from vllm.v1.structured_output.backend_guidance import serialize_guidance_grammar
    from vllm.v1.structured_output.request import get_structured_output_key

    kind, source = get_structured_output_key(sampling_params(asked).structured_outputs)
    config = ENGINE_OPTIONS["structured_outputs_config"]
    assert config["backend"] == "guidance"
    grammar = serialize_guidance_grammar(kind, source, config["disable_any_whitespace"])
    return LLMatcher(from_tokenizer(tokenizer), grammar)


def spelled(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_vllm_holds_a_call_to_the_same(tokenizer: Any) -> None:
    pytest.importorskip("vllm")
    anyone, named = [vllm_matcher(tokenizer, request(each)) for each in ("required", "look")]
    for name, arguments, fits in CALLS:
        ids = [*spelled(tokenizer, format_call(name, arguments)), 2]
        assert (anyone.validate_tokens(ids) == len(ids)) is fits, arguments
        assert (named.validate_tokens(ids) == len(ids)) is (fits and name == "look"), arguments


def bound_by(**properties: Any) -> ChatRequest:
    schema = {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
    return request(None, json_schema=schema).model_copy(update={"tools": ()})


REASON = {
    "bounds": {"type": "string", "minLength": 3, "maxLength": 60},
    "pattern": {"type": "string", "pattern": r"^[^<>]{3,60}$"},
    "both": {"type": "string", "pattern": "^[Tt]he", "maxLength": 60},
    "neither": {"type": "string"},
}

QUOTATIONS = [
    r"The keeper says \"no\".",
    r"The keeper says \"no\",\nand leaves.",
    r"The path C:\\sea is wrong.",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", REASON)
def test_a_bounded_string_may_hold_a_quotation_on_both_engines(
    grammars: Grammars, tokenizer: Any, kind: str
) -> None:
    pytest.importorskip("vllm")
    asked = bound_by(reason=REASON[kind])
    for matcher in (grammars.matcher(asked), vllm_matcher(tokenizer, asked)):
        for quotation in QUOTATIONS:
            ids = [*spelled(tokenizer, f'{{"reason": "{quotation}"}}'), 2]
            assert matcher.validate_tokens(ids) == len(ids), quotation


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        '{"reason": "The keeper says ',
        r'{"reason": "The keeper says \"',
        r'{"reason": "The keeper says \"no',
        '{"reason": "A',
    ],
)
def test_both_engines_allow_the_same_tokens(
    grammars: Grammars, tokenizer: Any, prefix: str
) -> None:
    pytest.importorskip("vllm")
    asked = bound_by(reason=REASON["bounds"])
    ours, theirs = grammars.matcher(asked), vllm_matcher(tokenizer, asked)
    for matcher in (ours, theirs):
        assert matcher.consume_tokens(spelled(tokenizer, prefix))
    assert ours.compute_bitmask() == theirs.compute_bitmask()


def note(text: Annotated[str, Field(min_length=2, max_length=40)]) -> str:
    """Note a thing."""
    return text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_bounded_argument_of_a_tool_may_hold_a_quotation_on_both_engines(
    grammars: Grammars, tokenizer: Any
) -> None:
    pytest.importorskip("vllm")
    asked = request(None).model_copy(update=offer([note], "note"))
    for matcher in (grammars.matcher(asked), vllm_matcher(tokenizer, asked)):
        for quotation in QUOTATIONS:
            call = format_call("note", f'{{"text": "{quotation}"}}')
            ids = [*spelled(tokenizer, call), 2]
            assert matcher.validate_tokens(ids) == len(ids), quotation


FITTING = [
    ({"type": "integer", "minimum": 1, "maximum": 10}, ("1", "10"), ("0", "11", "1.5", '"1"')),
    ({"enum": ["d1.s1", "d1.s2"]}, ('"d1.s1"',), ('"d1.s3"', '"d1"')),
    ({"const": "none"}, ('"none"',), ('"some"',)),
    (
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2},
        ('["a"]', '["b", "a"]'),
        ("[]", '["a", "b", "a"]', '["c"]', '["a","b"]'),
    ),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ('"ab"', '"abcd"'), ('"a"', '"abcde"')),
    ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, ("null", "true"), ("0",)),
]
"""Schemas of the kinds that the roles ask by, with values that fit them and that do not."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("schema", "fit", "unfit"), FITTING)
def test_bounds_of_numbers_lists_and_choices_hold_on_both_engines(
    grammars: Grammars, tokenizer: Any, schema: Any, fit: tuple[str, ...], unfit: tuple[str, ...]
) -> None:
    pytest.importorskip("vllm")
    asked = bound_by(value=schema)
    for matcher in (grammars.matcher(asked), vllm_matcher(tokenizer, asked)):
        for value in (*fit, *unfit):
            ids = [*spelled(tokenizer, f'{{"value": {value}}}'), 2]
            assert (matcher.validate_tokens(ids) == len(ids)) is (value in fit), value


def test_only_a_schema_or_a_call_that_must_be_made_bind_a_reply() -> None:
    assert not is_bound(request(None))
    assert not is_bound(request("none"))
    assert is_bound(request("look"))
    assert is_bound(request(None, json_schema=json.loads('{"type": "object"}')))
