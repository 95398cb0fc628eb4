"""One training step on one NVIDIA GPU, beside TRL's in the same run; no weights are downloaded.

Run: python benchmarks/gpu_step.py
     python benchmarks/gpu_step.py --sizes 0.6b
     python benchmarks/gpu_step.py --smoke                (a tiny model on a CPU: does it run)
Models have the shape of Qwen3 and random weights, and a tokenizer made here, so that texts of
random tokens reach their full length in every arm. Measured by train_step.py: seconds of a step
with its parts, tokens a second and the most memory that torch held, for TRL and for MRPO, both with
texts by vLLM in this process and by transformers. vLLM's memory outside this process
(`--engine-share` of the card) is not in torch's number.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 512,
    },
    "0.6b": {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    },
    "4b": {
        "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    },
}  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_model(folder: Path, shape: dict[str, int]) -> None:
    """Write a Qwen3 of this shape with random weights, and a byte-level tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        **shape,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        dtype=torch.bfloat16,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<pad>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(["a long story about a lighthouse and a winter market"], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<|im_end|>", padding_side="left"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def step(size: str, options: argparse.Namespace) -> bool:
    """Measure all arms with a model of this size; returns whether all ran."""
    arms = "trl,mrpo,mrpo-replay-1"
    if not options.smoke:
        arms = f"mrpo-vllm,trl-vllm,{arms}"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run([sys.executable, __file__, "--write", size, folder], check=False)
        if process.returncode:
            raise SystemExit(f"the model of size {size} could not be made")
        command = [sys.executable, str(HERE / "train_step.py"), "--model", folder]
        command += ["--name", f"qwen3-{size}-{options.card}", "--arms", options.arms or arms]
        command += ["--texts", str(options.texts), "--micro", str(options.micro)]
        command += ["--tokens", str(options.tokens), "--steps", str(options.steps)]
        command += ["--device", "cpu" if options.smoke else "cuda", "--out", str(options.out)]
        command += ["--engine-share", str(options.engine_share)]
        return not subprocess.run(command, check=False).returncode


def card() -> str:
    """Name of the GPU, fit for a file name."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("expected an NVIDIA GPU, found none; --smoke runs a tiny model on the CPU")
    return str(torch.cuda.get_device_name()).replace(" ", "-")


def main() -> None:
    """Measure each size; train_step.py stores the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="0.6b,4b")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--arms", help="of train_step.py; all that make sense if left out")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--micro", type=int, default=8, help="texts of a micro-batch")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--engine-share", type=float, default=0.35)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_model(Path(options.write[1]), SIZES[options.write[0]])
        return
    if options.smoke:
        options.sizes, options.card = "tiny", "cpu-smoke"
        options.texts, options.micro, options.tokens, options.steps = 8, 4, 16, 2
        options.out = Path(tempfile.gettempdir())
    else:
        options.card = card()
    ran = [step(size, options) for size in options.sizes.split(",")]
    raise SystemExit(0 if all(ran) else 1)


if __name__ == "__main__":
    main()
