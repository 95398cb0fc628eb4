"""The transformers backend on SmolLM2; `test_contract.py` holds what all backends share."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from quillgraph.backends.errors import ConfigError, ContextOverflow, Refused
from quillgraph.backends.messages.trace import TokenTrace, alternatives_of, trace_of
from quillgraph.backends.transformers.chat import TransformersChat

pytestmark = pytest.mark.model


class Poem(BaseModel):
    title: str = Field(max_length=20)
    lines: list[Annotated[str, Field(max_length=30)]] = Field(max_length=2)


async def traced(chat: TransformersChat, prompt: str, **options: Any) -> TokenTrace:
    trace = trace_of(await chat.ainvoke(prompt, **options))
    assert trace is not None
    return trace


def test_the_module_loads_no_torch() -> None:
    program = (
        "import sys, quillgraph.backends.transformers.chat;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'llguidance')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch(
    transformers_chat: TransformersChat,
) -> None:
    prompts = [f"Write a story about the sea.{' Please.' * count}" for count in range(4)]
    together = await asyncio.gather(
        *(traced(transformers_chat, prompt, seed=11) for prompt in prompts)
    )
    alone = await traced(transformers_chat, prompts[2], seed=11)
    assert alone.prompt_ids == together[2].prompt_ids  # no padding is left on them
    assert alone.completion_ids == together[2].completion_ids
    # float32 in another batch shape: 2e-5 was measured, LOG.md 2026-11-23
    assert alone.logprobs == pytest.approx(together[2].logprobs, abs=1e-3)


async def test_rows_of_one_batch_keep_their_own_settings(
    transformers_chat: TransformersChat,
) -> None:
    say = "Write a story about the sea."
    greedy, short, bound, again = await asyncio.gather(
        transformers_chat.ainvoke(say, temperature=0.0),
        transformers_chat.ainvoke(say, max_tokens=3),
        transformers_chat.ainvoke(say, json_schema={"enum": ["sea salt", "第一"]}),
        transformers_chat.ainvoke(say, temperature=0.0),
    )
    assert greedy.content == again.content
    assert short.response_metadata["finish_reason"] == "length"
    assert len(short.response_metadata["token_trace"]["completion_ids"]) == 3
    assert json.loads(str(bound.content)) in ("sea salt", "第一")


async def test_log_probs_are_those_of_a_plain_forward_pass(
    transformers_chat: TransformersChat, smollm2_folder: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    trace = await traced(transformers_chat, "Name a colour.", temperature=0.5, seed=1)
    assert trace.logprobs is not None
    model = AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    ids = torch.tensor([trace.prompt_ids + trace.completion_ids])
    with torch.no_grad():
        scores_TV = model(ids).logits[0, len(trace.prompt_ids) - 1 : -1] / 0.5
    chosen_T1 = torch.tensor(trace.completion_ids).unsqueeze(1)
    expected = scores_TV.log_softmax(-1).gather(1, chosen_T1).squeeze(1)
    assert list(trace.logprobs) == pytest.approx(expected.tolist(), abs=1e-3)


async def test_the_end_token_is_kept_in_the_trace_and_out_of_the_text(
    transformers_chat: TransformersChat,
) -> None:
    reply = await transformers_chat.ainvoke(
        "Say only: Hello", json_schema={"const": "Hello"}, temperature=0.0
    )
    assert reply.content == '"Hello"'
    trace = trace_of(reply)
    assert trace is not None
    assert trace.completion_ids[-1] == 2  # <|im_end|>
    assert trace.finish_reason == "stop"


async def test_the_last_token_of_a_split_character_is_shown_as_all_of_it(
    transformers_chat: TransformersChat,
) -> None:
    reply = await transformers_chat.ainvoke("Hi", json_schema={"const": "鲸é"}, top_logprobs=2)
    positions = alternatives_of(reply)
    assert positions is not None
    texts = [each.text for each in positions]
    assert "".join(texts) == '"鲸é"<|im_end|>'
    assert "" in texts  # 鲸 is three bytes, of which SmolLM2 has no single token


async def test_json_is_written_without_spare_whitespace(
    transformers_chat: TransformersChat,
) -> None:
    bound = transformers_chat.with_structured_output(Poem, include_raw=True)
    answer = await bound.ainvoke("Write a poem about the sea.", max_tokens=80, seed=5)
    assert answer["parsed"] is not None, answer["raw"].content
    assert answer["raw"].content == json.dumps(answer["parsed"].model_dump(), ensure_ascii=False)


async def test_a_stop_string_is_left_out_of_the_reply(
    transformers_chat: TransformersChat,
) -> None:
    whole = await transformers_chat.ainvoke("Write about the sea.", temperature=0.0)
    word = str(whole.content).split()[2]
    cut = await transformers_chat.ainvoke("Write about the sea.", temperature=0.0, stop=[word])
    assert cut.content == str(whole.content).partition(word)[0]
    assert cut.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [({"type": "nope"}, "nope"), ({"type": "string", "minLength": 9, "maxLength": 2}, "minLength")],
)
async def test_a_schema_that_cannot_be_decoded_is_refused_with_the_reason(
    transformers_chat: TransformersChat, schema: dict[str, object], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await transformers_chat.ainvoke("Hi", json_schema=schema)


async def test_a_refused_call_does_not_disturb_its_neighbours(
    transformers_chat: TransformersChat,
) -> None:
    good, bad = await asyncio.gather(
        transformers_chat.ainvoke("Hi", max_tokens=2),
        transformers_chat.ainvoke("Hi", max_tokens=9000),
        return_exceptions=True,
    )
    assert not isinstance(good, BaseException)
    assert isinstance(bad, ContextOverflow)
    assert "9000" in str(bad)
    assert "8192" in str(bad)


async def test_a_closed_backend_loads_again_when_called(smollm2_folder: Path) -> None:
    chat = TransformersChat(model=str(smollm2_folder), max_tokens=2)
    await chat.ainvoke("Hi")
    await chat.aclose()
    await chat.aclose()
    assert (await chat.ainvoke("Hi")).content
    await chat.aclose()


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nobody/nothing"])
async def test_a_model_that_cannot_be_found_says_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    chat = TransformersChat(model=name)
    with pytest.raises(ConfigError, match="quillgraph models pull"):
        await chat.ainvoke("Hi")
    with pytest.raises(ConfigError, match=name):
        _ = chat.capabilities
    await chat.aclose()


async def test_a_device_that_is_not_there_is_refused(smollm2_folder: Path) -> None:
    chat = TransformersChat(model=str(smollm2_folder), device="warp")
    with pytest.raises(ConfigError, match="leave the device out"):
        await chat.start()
    await chat.aclose()


async def test_a_tokenizer_that_grammars_misread_is_refused_only_with_a_schema(
    smollm2_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(smollm2_folder, folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    # what a plain conversion from GGUF leaves behind: its byte fallback hides the byte level
    fallback = {"type": "ByteFallback"}
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [fallback, tokenizer["decoder"]]}
    path.write_text(json.dumps(tokenizer))
    chat = TransformersChat(model=str(folder), max_tokens=2)
    assert (await chat.ainvoke("Hi")).content
    with pytest.raises(Refused, match="tokenizer"):
        await chat.ainvoke("Hi", json_schema={"type": "string"})
    await chat.aclose()
