"""The model that is trained: a base model, usually with a LoRA adapter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quillgraph.backends.errors import ConfigError, PolicyError
from quillgraph.backends.messages import opens_thinking
from quillgraph.backends.weights import from_pretrained, resolve
from quillgraph.rl.config.requests import Turns
from quillgraph.rl.config.run import ModelConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

CARD = "quillgraph.json"
"""File in an adapter's folder that names the base it was trained on."""


@dataclass(frozen=True, slots=True)
class TrainablePolicy:
    """A trainable model and its tokenizer."""

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    folder: str
    """The base: a folder or a hub id."""
    base: str
    """Fingerprint of the base's weights."""

    @property
    def window(self) -> int | None:
        """Context length of the model in tokens; None if unknown."""
        config: Any = self.model.config
        return getattr(config, "max_position_embeddings", None)

    @property
    def opens_thinking(self) -> bool:
        """Whether its chat template begins the reply with an opening mark of thinking."""
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": "."}], add_generation_prompt=True, tokenize=False
        )
        return opens_thinking(str(prompt))

    def ids(self, prompt: Turns) -> list[int]:
        """Token ids of a conversation, up to the start of the assistant's turn."""
        ids: list[int] = self.tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return ids

    def padded(self, prompts: Sequence[Turns], device: Any) -> dict[str, torch.Tensor]:
        """A batch of conversations, padded left."""
        import torch

        rows, pad = [self.ids(prompt) for prompt in prompts], self.tokenizer.pad_token_id
        width = max(map(len, rows))
        return {
            "input_ids": torch.tensor([[pad] * (width - len(r)) + r for r in rows], device=device),
            "attention_mask": torch.tensor(
                [[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device
            ),
        }

    def take_up(self, folder: Path) -> None:
        """Replace the present weights by those of a saved policy."""
        from safetensors.torch import load_model

        if (folder / "adapter_config.json").is_file():
            from peft import load_peft_weights, set_peft_model_state_dict

            set_peft_model_state_dict(self.model, load_peft_weights(str(folder), device="cpu"))
        else:
            load_model(self.model, str(folder / "model.safetensors"))

    def sign(self, folder: Path) -> None:
        """Write into a saved policy's folder which base it was trained on."""
        card = {"base": self.folder, "base_fingerprint": self.base}
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def load_policy(config: ModelConfig, *, seed: int = 0) -> TrainablePolicy:
    """Load the base with its adapter: the one that is named, or a new one.

    Args:
        config: What to load.
        seed: Seed of the initial weights of a new adapter.

    Raises:
        ConfigError: If the base is missing, or has no chat template.
        PolicyError: If the adapter belongs to another base.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(seed)
    folder = resolve(config.name)
    tokenizer = from_pretrained(AutoTokenizer, folder)
    if not tokenizer.chat_template:
        raise ConfigError(
            f"expected a chat model, but {config.name!r} has no chat template; use an instruct "
            "model, or add a template to its tokenizer"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    base = from_pretrained(AutoModelForCausalLM, folder, dtype=getattr(torch, config.dtype))
    fingerprint = fingerprint_of(base)
    if config.adapter is not None:
        model = _with_adapter(base, config.adapter, fingerprint)
    elif config.lora is not None:
        model = _with_new_adapter(base, config)
    else:
        model = base
    return TrainablePolicy(model, tokenizer, folder, fingerprint)


def fingerprint_of(model: Any) -> str:
    """Hash that identifies a base: its parameters' shapes and eight rows of its embeddings."""
    shapes = sorted((name, tuple(each.shape)) for name, each in model.named_parameters())
    row = model.get_input_embeddings().weight[:8].detach().float().cpu().numpy()
    return hashlib.sha256(json.dumps(shapes).encode() + row.tobytes()).hexdigest()[:32]


def _with_new_adapter(base: Any, config: ModelConfig) -> Any:
    from peft import LoraConfig, get_peft_model

    assert config.lora is not None
    targets = config.lora.target_modules
    lora = LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise ConfigError(
            f"model.lora.target_modules: {config.name!r} has no modules {targets!r}; all-linear "
            "fits every model"
        ) from error


def _with_adapter(base: Any, adapter: Path, fingerprint: str) -> Any:
    from peft import PeftModel

    if not (adapter / "adapter_config.json").is_file():
        raise ConfigError(
            f"expected an adapter in {adapter}, found no adapter_config.json; a run leaves one in "
            "its folder adapter/"
        )
    made_for = _card(adapter).get("base_fingerprint", fingerprint)
    if made_for != fingerprint:
        raise PolicyError(
            f"the adapter {adapter} was trained on a base with fingerprint {made_for[:12]}…, and "
            f"model.name has {fingerprint[:12]}…; name the base that it was trained on"
        )
    try:
        return PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise PolicyError(
            f"the adapter {adapter} does not fit the base: {' '.join(str(error).split())[:200]}; "
            "name the base that it was trained on"
        ) from error


def _card(adapter: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((adapter / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card
