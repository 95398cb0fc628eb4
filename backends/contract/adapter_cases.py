"""What an adapter's configuration may say, and what every backend that takes adapters does.

An adapter is read as PEFT reads it, or refused with the field's name before anything changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AdapterCase:
    """Settings of PEFT's `LoraConfig` beside `r`, `lora_alpha` and `target_modules`."""

    name: str
    settings: Mapping[str, Any]
    afterwards: Mapping[str, Any] = field(default_factory=dict)
    """What `adapter_config.json` says differently once it is saved."""
    at_an_address: bool = True
    """Whether a vLLM server whose model is not here may be given it too."""


SERVED = (
    AdapterCase("rank_pattern", {"r": 4, "rank_pattern": {"q_proj": 8, "up_proj": 2}}, {}, False),
    AdapterCase("alpha_pattern", {"alpha_pattern": {r"layers\.\d\..*": 64}}, {}, False),
    AdapterCase("use_rslora", {"use_rslora": True}),
    AdapterCase(
        "use_rslora with both patterns",
        {
            "r": 2,
            "use_rslora": True,
            "rank_pattern": {"v_proj": 8},
            "alpha_pattern": {"up_proj": 1, "v_proj": 24},
        },
        {},
        False,
    ),
    AdapterCase(
        "target_modules: an expression",
        {"lora_alpha": 64, "target_modules": r".*\.1\d\..*(k|down)_proj"},
    ),
    AdapterCase(
        "target_modules: all-linear, exclude_modules",
        {"target_modules": "all-linear", "exclude_modules": ["gate_proj"]},
    ),
    AdapterCase(
        "layers_to_transform, layers_pattern",
        {"lora_alpha": 64, "layers_to_transform": [3, 20], "layers_pattern": "layers"},
    ),
    AdapterCase("target_modules: embeddings", {"target_modules": ["embed_tokens", "q_proj"]}),
    AdapterCase("target_modules: the head", {"target_modules": ["lm_head", "q_proj"]}),
    AdapterCase(
        "embeddings and the head with a rank_pattern",
        {"target_modules": ["embed_tokens", "lm_head"], "rank_pattern": {"lm_head": 3}},
        {},
        False,
    ),
    AdapterCase("lora_dropout", {"lora_dropout": 0.5}),
    AdapterCase(
        "init_lora_weights: gaussian, eva, orthogonal",
        {"lora_alpha": 2, "init_lora_weights": "gaussian"},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}},
    ),
)
"""What is served: log-probabilities are PEFT's."""

REFUSED: tuple[Mapping[str, Any], ...] = (
    {"use_dora": True},
    {"bias": "all"},
    {"bias": "lora_only"},
    {"lora_bias": True},
    {"modules_to_save": ["lm_head"]},
    {"trainable_token_indices": [5, 6]},
    {"trainable_token_indices": {"embed_tokens": [5]}},
    {"target_parameters": ["mlp.experts.gate_up_proj"]},
    {"layer_replication": [[0, 4], [2, 5]]},
    {"ensure_weight_tying": True},
    {"alora_invocation_tokens": [1, 2]},
    {"megatron_config": {"tensor_model_parallel_size": 2}},
    {"use_qalora": True},
    {"use_bdlora": {"nblocks": 2}},
    {"arrow_config": {"top_k": 3}},
    {"kasa_config": {"beta": 1e-4}},
    {"monteclora_config": {"num_samples": 4}},
    {"velora_config": {"num_groups": 2}},
    {"init_lora_weights": "pissa"},
    {"init_lora_weights": "pissa_niter_4"},
    {"init_lora_weights": "olora"},
    {"init_lora_weights": "corda"},
    {"init_lora_weights": "loftq"},
    {"init_lora_weights": "lora_ga"},
    {"init_lora_weights": "mica"},
    {"a_field_of_tomorrow": 1},
    {"peft_type": "IA3"},
    {"peft_type": "ADALORA"},
    {"peft_type": "LOHA"},
    {"peft_type": "VERA"},
    {"peft_type": "PROMPT_TUNING"},
)
"""What is refused: the message names the first field."""
