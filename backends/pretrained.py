"""What the in-process engines share: loading by name, and how large a model is."""

from typing import Any

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import ConfigError, ContextOverflow, Refused

SMALL_MODEL_WIDTH = 2048
"""Below this hidden size (about 1.5B parameters and less) a model gets one item per call."""

ITEMS_PER_CALL = 8
"""Items per call of a larger one."""


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
    from transformers import AutoConfig

    return from_pretrained(AutoConfig, model).get_text_config()


def items_per_call(shape: Any) -> int:
    """How many items a call may carry, by the width of the model."""
    return 1 if shape.hidden_size < SMALL_MODEL_WIDTH else ITEMS_PER_CALL


def prompt_ids(tokenizer: Any, request: ChatRequest, window: int | None) -> tuple[int, ...]:
    """Render a request by the model's chat template.

    Control tokens that stand in the words of a message are broken: a text that is judged must not
    end its turn and begin one of the system's.

    Raises:
        Refused: If the template has no place for the messages.
        ContextOverflow: If prompt and reply do not fit the window.
    """
    from jinja2 import TemplateError

    messages = [
        {"role": turn.role, "content": _without_control(turn.content, tokenizer)}
        for turn in request.messages
    ]
    try:
        rendered = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
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


def _without_control(words: str, tokenizer: Any) -> str:
    for token in tokenizer.all_special_tokens:
        words = words.replace(token, f"{token[0]}\u200b{token[1:]}")
    return words
