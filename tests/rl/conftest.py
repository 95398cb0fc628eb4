"""A tiny model, a tokenizer and a data set, all made in code: the real trainer runs on them."""

import json
import multiprocessing
import os
import runpy
import socket
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

WORDS = ["sun", "moon", "rain", "sea", "stone", "bird", "light", "night", "song", "door"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% generation %}{{ m.content }}"
    "{% endgeneration %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TRAINING = (
    "peft",
    "matplotlib.pyplot",
    "quillgraph.cli.commands.train",
    "quillgraph.rl.stages.rl",
    "quillgraph.rl.stages.sft",
)
"""What a process of training imports; it takes twelve seconds of each."""

COMMAND = """
from quillgraph.cli.main import main

if __name__ == "__main__":
    main()
"""

Start = Callable[..., BaseProcess]


@pytest.fixture(scope="session")
def start_process() -> Start:
    """Start a program in a real process that begins with the training libraries imported.

    It takes the program's file, its arguments, the file for what it prints, and further variables
    of its environment.
    """
    pytest.importorskip("trl")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(TRAINING))

    def start(program: Path, *arguments: object, log: Path, **environment: str) -> BaseProcess:
        job = {
            "program": str(program),
            "arguments": [str(each) for each in arguments],
            "environment": {"HF_HUB_OFFLINE": "1", **environment},
            "log": str(log),
        }
        forked = str(Path(__file__).with_name("forked.py"))
        process = context.Process(
            target=runpy.run_path, args=(forked, {"JOB": job}), kwargs={"run_name": "__main__"}
        )
        process.start()
        return process

    return start


@pytest.fixture(scope="session")
def run_processes(start_process: Start) -> Callable[..., None]:
    """Run a program to its end, in one process or as several that know of each other (gloo)."""

    def run(program: Path, *arguments: object, log: Path, processes: int = 1) -> None:
        group: dict[str, str] = {}
        if processes > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
        started = []
        for rank in range(processes):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
            started.append(start_process(program, *arguments, log=log, **group, **place))
        for process in started:
            process.join(240)
        statuses = [process.exitcode for process in started]
        assert statuses == [0] * processes, log.read_text()[-3000:]

    return run


@pytest.fixture(scope="session")
def command_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `quillgraph` as a program's file."""
    file = tmp_path_factory.mktemp("command") / "quillgraph_command.py"
    file.write_text(COMMAND, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def tokenizer(training_libraries: None) -> Any:
    """Whole words as tokens, and Qwen's chat marks."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "user", "assistant", "\n", *WORDS]
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<|im_end|>",
        padding_side="left",
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture
def tiny_model(tokenizer: Any) -> Callable[[], Any]:
    """Make the same Qwen2-shaped model of 2 layers each time."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)  # more threads only wait for each other on a model of this size

    def make() -> Any:
        torch.manual_seed(0)
        return Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=128,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=None,
                tie_word_embeddings=False,
            )
        )

    return make


@pytest.fixture
def tiny_folder(tiny_model: Callable[[], Any], tokenizer: Any, tmp_path: Path) -> Path:
    """The tiny model as a folder, from which a reference model can be loaded too."""
    folder = tmp_path / "tiny"
    tiny_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def prompts() -> Any:
    """Eight requests under one set of criteria."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": f"{word} song"}], "criteria_sha": "c0"}
            for word in WORDS[:8]
        ]
    )


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """What every run of a test shares: CPU, two prompts of four texts a step, nothing written."""
    return {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": 3,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": 0,
    }


@pytest.fixture
def short_run(
    tiny_folder: Path, tmp_path: Path, training_libraries: None
) -> Iterator[Callable[..., Path]]:
    """Write the configuration of a short run of MRPO on three requests.

    The function takes options of the trainer, sections of the file, and what goes under `rl`.
    """
    requests = [
        {"request": f"Write a story in exactly {n} words about the {word}."}
        for n, word in enumerate(WORDS[:3], 3)
    ]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, requests)))
    step = {
        "max_steps": 2,
        "learning_rate": 1e-2,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 8,
        "replay_start": 0,
        "replay_start_reward": 0.0,
    }

    def make(
        options: dict[str, Any] | None = None, sections: dict[str, Any] | None = None, **rl: Any
    ) -> Path:
        settings = {
            "model": {"name": str(tiny_folder), "lora": {"r": 4}},
            "data": {"prompts": "prompts.jsonl"},
            "criteria": {"study": "hard", "embeddings": "lexical"},
            "rl": {"options": {**step, **(options or {})}, **rl},
            "evaluation": {"every": 0},
            "checkpoints": {"every": 1},
            **(sections or {}),
        }
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump(settings))
        return file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries' own
        yield make
