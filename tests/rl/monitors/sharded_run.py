"""Program of one of two processes (gloo) whose model is sharded as FSDP2 does it."""

import json
import os
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM, AutoTokenizer

from quillgraph.rl.monitors.evaluation import write_texts
from quillgraph.rl.run.policy import TrainablePolicy


def main(folder: str, out: Path) -> None:
    """Write texts with the whole model and with the sharded one, then learn a step."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    distributed.init_process_group("gloo")
    base = AutoModelForCausalLM.from_pretrained(folder)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    policy = TrainablePolicy(model, AutoTokenizer.from_pretrained(folder), folder, "base")
    prompts = [[{"role": "user", "content": word}] for word in ("sun", "moon song")]

    def written() -> list[list[str]]:
        return write_texts(policy, prompts, texts=2, max_tokens=8, seed=1)

    whole = written()
    mesh = init_device_mesh("cpu", (2,))
    for layer in base.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    sharded = written()
    ids = torch.ones(1, 4, dtype=torch.long)
    model(input_ids=ids, labels=ids).loss.backward()
    again = written()
    state = {"whole": whole, "sharded": sharded, "again": again}
    (out / f"texts-{os.environ['RANK']}.json").write_text(json.dumps(state))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
