"""What decoding under a schema costs with each grammar that vLLM has: xgrammar and llguidance.

    .venv/bin/python -P benchmarks/bounded_replies.py        some minutes on two cores

First the grammars alone, in turn over one reply: milliseconds to compile the schema, which most
calls of a study have anew, and to mask and read a token. Then the same prompts, seeds and schema on
two engines of the built-in model; each round asks all prompts at once, and both engines answer a
round before the next. The reply is a judgement with a bounded reason. Prints and stores tokens per
second of each round, their ratio with a 95 % interval over rounds, and how many replies hold an
escape: a quotation mark, a backslash or a newline. The first part is stored before the second runs.
"""

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from transformers import AutoTokenizer

from quillgraph.backends.messages.bounds import spaced
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


REPLY = (
    '{"quote": "It is, the keeper said, later than three.", "reason": "The words are plain and the '
    'scene is short, so the reader sees the keeper wait and hears the clock.", "score": 7}'
)


def grammar_costs(repeats: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds to compile the schema, and for each token of a reply, by grammar."""
    import xgrammar
    from llguidance import LLMatcher
    from llguidance.hf import from_tokenizer
    from llguidance.torch import allocate_token_bitmask, fill_next_token_bitmask

    tokenizer = AutoTokenizer.from_pretrained(resolve("smollm2-135m"))
    size = len(tokenizer)
    ids = tokenizer.encode(REPLY, add_special_tokens=False)
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=size)
    compiler = xgrammar.GrammarCompiler(info, cache_enabled=False)
    tokens = from_tokenizer(tokenizer, n_vocab=size)

    def xgrammar_read() -> tuple[float, float]:
        begun = time.perf_counter()
        compiled = compiler.compile_json_schema(json.dumps(SCHEMA), any_whitespace=False)
        matcher = xgrammar.GrammarMatcher(compiled)
        ready, mask = time.perf_counter(), xgrammar.allocate_token_bitmask(1, size)
        for token in ids:
            matcher.fill_next_token_bitmask(mask)
            assert matcher.accept_token(token)
        return ready - begun, (time.perf_counter() - ready) / len(ids)

    def guidance_read() -> tuple[float, float]:
        begun = time.perf_counter()
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(spaced(SCHEMA)))
        matcher = LLMatcher(tokens, grammar)
        ready, mask = time.perf_counter(), allocate_token_bitmask(1, size)
        for token in ids:
            fill_next_token_bitmask(matcher, mask, 0)
            assert matcher.consume_token(token)
        return ready - begun, (time.perf_counter() - ready) / len(ids)

    runs = [(xgrammar_read(), guidance_read()) for _ in range(repeats)]
    return {
        name: {
            "compile_ms": [round(1e3 * run[place][0], 2) for run in runs],
            "token_ms": [round(1e3 * run[place][1], 4) for run in runs],
        }
        for place, name in enumerate(GRAMMARS)
    }


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
    file = RESULTS / "bounded_replies-smollm2-135m.json"
    result: dict[str, Any] = {"grammars": grammar_costs(arguments.rounds)}
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    result["engines"] = asyncio.run(measured(arguments.rounds, arguments.calls))
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
