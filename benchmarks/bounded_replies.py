"""What decoding under a schema costs with each grammar that vLLM has: xgrammar and llguidance.

    .venv/bin/python -P benchmarks/bounded_replies.py        some minutes on two cores

The same prompts, seeds and schema on two engines of the built-in model, one after the other; each
round asks all prompts at once, and both engines answer a round before the next. The reply is a
judgement with a bounded reason. Prints and stores tokens per second of each round, their ratio with
a 95 % interval over rounds, and how many reasons hold a quotation mark, a backslash or a newline.
"""

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from quillgraph.backends.vllm.chat import VllmChat
from quillgraph.backends.weights import resolve

RESULTS = Path(__file__).parent / "results"
GRAMMARS = ("xgrammar", "guidance")

SCHEMA = {
    "type": "object",
    "properties": {
        "quote": {"type": "string", "minLength": 3, "maxLength": 120},
        "reason": {"type": "string", "minLength": 10, "maxLength": 300},
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["quote", "reason", "score"],
    "additionalProperties": False,
}

ASK = (
    'Judge this dialogue as JSON, and cite its words in quotation marks: "Is it late?" said '
    "{name}. "
    '"It is," the keeper said, "later than {hour}."'
)


def engine(grammar: str) -> VllmChat:
    """An engine of the built-in model that decodes by one grammar."""
    config = {"disable_any_whitespace": True, "backend": grammar}
    return VllmChat(
        model=resolve("smollm2-135m"),
        max_model_len=1024,
        max_concurrency=8,
        engine_options={"structured_outputs_config": config},
    )


async def answered(chat: VllmChat, number: int, calls: int) -> tuple[float, list[str]]:
    """Tokens per second of one round, and its replies."""
    asks = [ASK.format(name=f"Ada{call}", hour=call + 3) for call in range(calls)]
    begun = time.perf_counter()
    replies = await asyncio.gather(
        *(
            chat.ainvoke(
                ask, json_schema=SCHEMA, temperature=1.0, seed=100 * number + call, max_tokens=160
            )
            for call, ask in enumerate(asks)
        )
    )
    spent = time.perf_counter() - begun
    tokens = sum(reply.usage_metadata["output_tokens"] for reply in replies if reply.usage_metadata)
    return tokens / spent, [str(reply.content) for reply in replies]


def summary(speeds: dict[str, list[float]], texts: dict[str, list[str]]) -> dict[str, Any]:
    """What is stored: speeds, their ratio with an interval, and what the reasons hold."""
    ratios = [new / old for old, new in zip(*(speeds[name] for name in GRAMMARS), strict=True)]
    half = 1.96 * stdev(ratios) / len(ratios) ** 0.5
    return {
        "machine": platform.processor() or platform.machine(),
        "tokens_per_second": {name: [round(each, 2) for each in speeds[name]] for name in GRAMMARS},
        "ratio": round(fmean(ratios), 3),
        "ratio_95": [round(fmean(ratios) - half, 3), round(fmean(ratios) + half, 3)],
        "replies": {name: len(texts[name]) for name in GRAMMARS},
        "replies_with_an_escape": {
            name: sum("\\" in text for text in texts[name]) for name in GRAMMARS
        },
    }


async def measured(rounds: int, calls: int) -> dict[str, Any]:
    """Run both engines in turn."""
    chats = {name: engine(name) for name in GRAMMARS}
    speeds: dict[str, list[float]] = {name: [] for name in GRAMMARS}
    texts: dict[str, list[str]] = {name: [] for name in GRAMMARS}
    for chat in chats.values():
        await answered(chat, 0, calls)  # compiles the grammar
    for number in range(1, rounds + 1):
        # who goes first changes from round to round
        for name in GRAMMARS if number % 2 else reversed(GRAMMARS):
            speed, replies = await answered(chats[name], number, calls)
            speeds[name].append(speed)
            texts[name] += replies
    for chat in chats.values():
        await chat.aclose()
    return summary(speeds, texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=8)
    arguments = parser.parse_args()
    result = asyncio.run(measured(arguments.rounds, arguments.calls))
    text = json.dumps(result, indent=2)
    (RESULTS / "bounded_replies-smollm2-135m.json").write_text(text + "\n", encoding="utf-8")
    print(text)
