"""A short run, alone or among other processes; prints nothing, leaves ledger and memory in a file.

Arguments: MODEL_FOLDER OUT ROWS WAY; who is among others finds RANK and the like, as torchrun sets.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

GROUP = 8
REQUESTS = ("sun", "moon", "rain", "sea")


def variety(completions: list[Any], **_: Any) -> list[float]:
    """Toy reward: how many different words a text has."""
    return [len(set(each[0]["content"].split())) / 8 for each in completions]


def engine(model: str, way: str) -> Any:
    """The engine of this process; in the way `dying` the second one dies of its 21st call."""
    from quillgraph.backends.errors import ServerFailed
    from quillgraph.backends.transformers.chat import TransformersChat

    class Dying(TransformersChat):
        calls: int = 0

        async def _complete(self, request: Any) -> Any:
            self.calls += 1
            if self.calls > 20:
                raise ServerFailed("the engine died")
            return await super()._complete(request)

    is_second = way == "dying" and os.environ.get("RANK") == "1"
    kind = Dying if is_second else TransformersChat
    return kind(model=model, device="cpu", max_concurrency=24)


def main(model: str, out: Path, rows: int, way: str) -> None:
    """Train four steps with `rows` texts in each process; `ahead` writes them a step before."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer

    from quillgraph.backends.errors import ServerFailed
    from quillgraph.rl.mrpo.config import MRPOConfig
    from quillgraph.rl.mrpo.credit import RowCredit
    from quillgraph.rl.mrpo.trainer import MRPOTrainer
    from quillgraph.rl.rewards.rules import RewardRules
    from quillgraph.rl.rollouts.ahead import PromptOrder
    from quillgraph.rl.rollouts.rollouts import Rollouts
    from quillgraph.rl.rollouts.run import one_call

    torch.set_num_threads(1)
    prompts = [
        {"prompt": [{"role": "user", "content": f"{word} song"}], "criteria_sha": "c0"}
        for word in REQUESTS
    ]
    trainer = MRPOTrainer(
        model=model,
        reward_funcs=[variety],
        args=MRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=rows,
            num_generations=GROUP,
            max_completion_length=8,
            max_steps=4,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            replay_start=1,
            replay_start_reward=0.0,
        ),
        train_dataset=Dataset.from_list(prompts),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(r=4, target_modules="all-linear"),
        rollout_func=Rollouts(
            engine(model, way),
            out / "adapters",
            one_call,
            ahead=PromptOrder() if way == "ahead" else None,
        ),
        credit=RowCredit("uniform", {}, RewardRules()) if way == "ahead" else None,
    )
    number = trainer.accelerator.process_index
    try:
        trainer.train()
    except ServerFailed as error:
        (out / f"state-{number}.json").write_text(json.dumps({"stopped": str(error)}))
        return
    steps = [each for each in trainer.state.log_history if "loss" in each]
    state = trainer.state_dict() | {
        "processes": trainer.accelerator.num_processes,
        "ages": [each["rollouts/policy_age"] for each in steps],
        "losses": [each["loss"] for each in steps],
        "grad_norms": [each["grad_norm"] for each in steps],
    }
    (out / f"state-{number}.json").write_text(json.dumps(state), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
