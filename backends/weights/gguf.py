"""Turns the GGUF file of a built-in model into a plain safetensors folder.

Run as a program by `models.pull`, in a process of its own: the caller then never imports torch,
whose thread pools do not survive the fork that starts an engine.
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerFast

CONTEXT_TOKENS = 8192
SPECIAL_TOKENS = {
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "pad_token": "<|im_end|>",
    "unk_token": "<|endoftext|>",
}


def convert(gguf: Path, folder: Path) -> None:
    """Write the model and tokenizer of a SmolLM2 GGUF file as bf16 safetensors.

    Raises:
        ValueError: If the end-of-turn token is not the one that the model was trained to emit,
            or the chat template is missing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    _mended(AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)).save_pretrained(folder)
    _check_ends(AutoTokenizer.from_pretrained(folder), model.generation_config)


def _mended(converted: "PreTrainedTokenizerFast") -> "PreTrainedTokenizerFast":
    """Rebuild the tokenizer, because the one read from GGUF differs from SmolLM2's own.

    It takes `<|im_start|>` for the end of a turn, has no length limit, cleans spaces on
    decoding, and skips the digit splitting that the file asks for (`tokenizer.ggml.pre =
    smollm`), so that a line break before a number became other tokens than in training.
    """
    from tokenizers import decoders, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = converted.backend_tokenizer
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        chat_template=converted.chat_template,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        **SPECIAL_TOKENS,
    )


def _check_ends(tokenizer: "PreTrainedTokenizerFast", generation: "GenerationConfig") -> None:
    actual = {
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
        "bos": tokenizer.bos_token_id,
        "generation eos": generation.eos_token_id,
        "context": tokenizer.model_max_length,
    }
    expected = {"eos": 2, "pad": 2, "bos": 1, "generation eos": 2, "context": CONTEXT_TOKENS}
    if actual != expected:
        raise ValueError(f"the converted tokenizer should have {expected}, has {actual}")
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    if not turn.endswith("<|im_start|>user\nHi<|im_end|>\n"):
        raise ValueError(f"the converted chat template writes {turn!r}")


if __name__ == "__main__":
    from transformers.utils.logging import disable_progress_bar

    logging.disable(logging.INFO)
    disable_progress_bar()
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
