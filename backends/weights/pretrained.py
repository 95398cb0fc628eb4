"""What the in-process engines share: loading by name, and how large a model is."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from quillgraph.backends.chat import ChatRequest, ChatTurn
from quillgraph.backends.errors import ConfigError, ContextOverflow, Refused
from quillgraph.backends.messages import hermes, opens_thinking
from quillgraph.backends.messages.turn import openai_form

SMALL_MODEL_WIDTH = 2048
"""Below this hidden size (about 1.5B parameters and less) a model gets one item per call."""

ITEMS_PER_CALL = 8
"""Items per call of a larger one."""

NumberFormat = Literal["float32", "bfloat16", "float16"]
"""What a model can be calculated in."""


def from_pretrained(kind: type[Any], model: str, **options: str) -> Any:
    """Load a part of a model: its configuration, tokenizer or weights.

    Raises:
        ConfigError: If there is no such model, or it cannot be read.
    """
    try:
        return kind.from_pretrained(model, **options)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(
            f"cannot load the model {model!r}: {reason} Give a folder with config.json, the "
            "tokenizer and safetensors, a hub id while the hub can be reached, or the built-in "
            "smollm2-135m (`quillgraph models pull smollm2-135m`)"
        ) from error


def shape_of(model: str) -> Any:
    """The configuration of a model's text part."""
    return _config_of(model).get_text_config()


def is_quantized(model: str) -> bool:
    """Whether a model's weights are kept in fewer bits than they are calculated in."""
    return getattr(_config_of(model), "quantization_config", None) is not None


def _config_of(model: str) -> Any:
    from transformers import AutoConfig

    return from_pretrained(AutoConfig, model)


@lru_cache(maxsize=8)
def tokenizer_of(model: str) -> Any:
    """The tokenizer of a model that runs elsewhere."""
    from transformers import AutoTokenizer

    return from_pretrained(AutoTokenizer, model)


def items_per_call(shape: Any) -> int:
    """How many items a call may carry, by the width of the model."""
    return 1 if shape.hidden_size < SMALL_MODEL_WIDTH else ITEMS_PER_CALL


def prompt_ids(tokenizer: Any, request: ChatRequest, window: int | None) -> tuple[int, ...]:
    """Render a request by the model's chat template.

    Control tokens inside a message are broken up: a text that is judged must not end its turn and
    begin a system turn.

    Raises:
        Refused: If the template has no place for the messages, or for tools.
        ContextOverflow: If prompt and reply do not fit the window.
    """
    from jinja2 import TemplateError

    if request.tools:
        check_takes_tools(tokenizer)
    messages = [_plain_form(turn, tokenizer) for turn in request.messages]
    tools = {"tools": list(request.tools)} if request.tools else {}
    try:
        rendered = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, **tools
        )
    except (TemplateError, ValueError) as error:
        raise Refused(f"the model's chat template refused the messages: {error}") from error
    ids = tuple(rendered["input_ids"])
    if window is not None and len(ids) + request.max_tokens > window:
        raise ContextOverflow(
            f"a prompt of {len(ids)} tokens and {request.max_tokens} for the reply do not fit "
            f"the model's window of {window} tokens; shorten the request"
        )
    return ids


def opens_reply(tokenizer: Any, ids: Sequence[int]) -> bool:
    """Whether the template that made a prompt has opened the thinking of its reply."""
    return opens_thinking(tokenizer.decode(list(ids[-TAIL:])))


def _plain_form(turn: ChatTurn, tokenizer: Any) -> dict[str, Any]:
    """A turn as chat templates know it: like OpenAI's, but arguments are no text."""
    form = openai_form(turn)
    form["content"] = _without_control(turn.content, tokenizer)
    for call in form.get("tool_calls", ()):
        arguments = _without_control(call["function"]["arguments"], tokenizer)
        call["function"]["arguments"] = json.loads(arguments)
    return form


TAIL = 16
"""Tokens at the end of a prompt in which an opening mark of thinking is looked for."""

_PROBE = "light_the_lamp"


@lru_cache(maxsize=8)
def check_takes_tools(tokenizer: Any, *, is_hermes: bool = True) -> None:
    """Make sure that a model's chat template has a place for tools.

    A template without one leaves tools out silently.

    Args:
        tokenizer: The model's.
        is_hermes: Whether it must also write calls in the form that we read.

    Raises:
        Refused: If it has none, or writes calls in another form.
    """
    from jinja2 import TemplateError

    call = {"name": _PROBE, "arguments": {"colour": "red"}}
    question = [{"role": "user", "content": "Hi"}]
    calls = [{"id": "call_0", "type": "function", "function": call}]
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    tool = {"name": _PROBE, "description": "Light it.", "parameters": schema}
    tools = [{"type": "function", "function": tool}]
    try:
        offer_text = tokenizer.apply_chat_template(question, tools=tools, tokenize=False)
        call_text = tokenizer.apply_chat_template([*question, answer], tools=tools, tokenize=False)
    except (TemplateError, ValueError) as error:
        raise Refused(f"the model's chat template takes no tools: {error}") from error
    if _PROBE not in offer_text:
        raise Refused(
            "the model's chat template leaves tools out, so it has not been taught to call any; "
            "take a model that has, or give its folder a chat_template.jinja with a place for "
            "tools"
        )
    if (
        is_hermes
        and (_PROBE, json.dumps(call["arguments"])) not in hermes.parse_calls(call_text)[1]
    ):
        raise Refused(
            f"the model's chat template writes tool calls in another form than {hermes.BEGIN}, "
            "which is the one that is read in this process; run the model as "
            "vllm-server:MODEL?tool_parser=NAME, with vLLM's name for its form"
        )


PROBE = '{"a": "b c"}'
"""What a tokenizer must carry through unchanged, spaces above all, to serve grammars."""


def check_carries_text(tokenizer: Any, for_grammars: Any) -> None:
    """Make sure that llguidance reads a tokenizer's tokens as the text that they stand for.

    Args:
        tokenizer: The model's.
        for_grammars: What llguidance has made of it.

    Raises:
        Refused: If it reads another text.
    """
    ids = tokenizer.encode(PROBE, add_special_tokens=False)
    if (decoded := for_grammars.decode_bytes(ids)) != PROBE.encode():
        raise Refused(
            f"llguidance reads {PROBE!r} as {decoded!r} through this model's tokenizer, so a "
            "JSON schema cannot hold; give a tokenizer.json whose decoder undoes its "
            "pre-tokenizer (one converted from GGUF often has another)"
        )


@lru_cache(maxsize=8)
def check_takes_grammars(tokenizer: Any) -> None:
    """Make sure that a grammar holds over a tokenizer's tokens, for an engine that does not ask.

    Raises:
        Refused: If llguidance reads another text than its tokens stand for.
    """
    import llguidance.hf

    check_carries_text(tokenizer, llguidance.hf.from_tokenizer(tokenizer))


def _without_control(words: str, tokenizer: Any) -> str:
    for token in tokenizer.all_special_tokens:
        words = words.replace(token, f"{token[0]}\u200b{token[1:]}")
    return words
