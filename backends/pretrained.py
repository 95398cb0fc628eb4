"""What the in-process engines share: loading by name, and how large a model is."""

from typing import Any

from quillgraph.backends.errors import ConfigError

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
