"""Prompts that several texts of a batch answer, read once.

The texts of a group answer the same prompt, and a model that is asked for each text by itself
reads it once for each. Here it is read once, and the texts go on from its keys and values, through
which their gradients run back into it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer


def last_states(model: Any, labels_BL: Tensor, inputs: dict[str, Any]) -> Tensor:
    """Hidden states of all positions from which a labelled token is told.

    Args:
        model: A causal language model of Transformers.
        labels_BL: Tokens to be told, -100 elsewhere, shape (B, L).
        inputs: What the model reads, by name.

    Returns:
        Shape (B, T, H): the last T of the L - 1 positions that have a token after them. Earlier
        ones have no label.
    """
    width = _unlabelled(labels_BL)
    inputs = {name: value for name, value in inputs.items() if value is not None}
    if inputs.keys() == {"input_ids", "attention_mask"} and 0 < width < labels_BL.shape[1] - 1:
        prompts = torch.cat([each[:, :width] for each in inputs.values()], 1)
        prompts, rows_B = prompts.unique(dim=0, return_inverse=True)
        if len(prompts) < len(rows_B) and _can_go_on(model):
            return _going_on(model.base_model, inputs, prompts, rows_B)
    whole_BLH: Tensor = model.base_model(**inputs | {"use_cache": False}).last_hidden_state
    return whole_BLH[:, :-1]


def _unlabelled(labels_BL: Tensor) -> int:
    """Leading columns in which no row has a label."""
    has_label_L = (labels_BL != -100).any(0)
    return int(has_label_L.int().argmax()) if has_label_L.any() else len(has_label_L)


def _can_go_on(model: Any) -> bool:
    """Whether a text is told from the keys and values of its prompt as from the prompt itself.

    Not where layers look back over a window or keep a state, where each reading of a prompt is
    to drop other activations, or where activations are to be computed twice to save memory.
    """
    if model.training and (model.is_gradient_checkpointing or _drops(model)):
        return False
    cache = DynamicCache(config=model.config)
    return not model._is_stateful and all(type(layer) is DynamicLayer for layer in cache.layers)


def _drops(model: Any) -> bool:
    modules = (each.p for each in model.modules() if isinstance(each, torch.nn.Dropout))
    return bool(getattr(model.config, "attention_dropout", 0)) or any(modules)


def _going_on(backbone: Any, inputs: dict[str, Tensor], prompts: Tensor, rows_B: Tensor) -> Tensor:
    """States of the last position of each row's prompt, and of its text."""
    begun = dict(zip(inputs, prompts.chunk(2, 1), strict=True))
    cache = DynamicCache(config=backbone.config)
    read = backbone(**begun, past_key_values=cache, use_cache=True)
    cache.batch_select_indices(rows_B)
    text_BT = inputs["input_ids"][:, begun["input_ids"].shape[1] : -1]
    attention_BL = inputs["attention_mask"][:, :-1]
    written = backbone(
        input_ids=text_BT, attention_mask=attention_BL, past_key_values=cache, use_cache=True
    )
    last_B1H = read.last_hidden_state[rows_B, -1:]
    return torch.cat([last_B1H, written.last_hidden_state], 1)
