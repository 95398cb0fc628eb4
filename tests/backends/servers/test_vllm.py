"""A real vLLM server on SmolLM2, started by the backend: exact tokens, schemas, adapters."""

import json
import math
from pathlib import Path

import pytest

from quillgraph.backends import connect
from quillgraph.backends.chat import ChatBackend
from quillgraph.backends.errors import ConfigError, ContextOverflow, Refused
from quillgraph.backends.messages.trace import TokenTrace, alternatives_of, trace_of
from quillgraph.backends.servers.vllm import VllmServerChat

ASK = "Write a long story about the sea."
WINDOW = 2048


@pytest.fixture
def server(vllm_server_chat: VllmServerChat) -> VllmServerChat:
    return vllm_server_chat


async def traced(chat: ChatBackend, temperature: float = 1.0) -> TokenTrace:
    trace = trace_of(await chat.ainvoke(ASK, seed=7, temperature=temperature))
    assert trace is not None
    return trace


@pytest.mark.model
async def test_the_ids_of_a_trace_spell_its_reply(
    server: VllmServerChat, smollm2_folder: Path
) -> None:
    from transformers import AutoTokenizer

    reply = await server.ainvoke(ASK, seed=7, temperature=1.0, top_logprobs=3)
    trace, positions = trace_of(reply), alternatives_of(reply)
    assert trace is not None
    assert trace.logprobs is not None
    assert positions is not None
    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    assert tokenizer.decode(trace.completion_ids, skip_special_tokens=True) == reply.content
    chat_ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASK}], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert trace.prompt_ids == tuple(chat_ids)
    assert len(trace.logprobs) == len(positions) == len(trace.completion_ids) == 24
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 24
    # of the sampling distribution: the four tokens reported are part of one that sums to 1
    for each in positions:
        assert sum(math.exp(one.logprob) for one in each.alternatives) < 1.001


@pytest.mark.model
async def test_a_cooler_call_reports_a_sharper_distribution(server: VllmServerChat) -> None:
    def sharpness(trace: TokenTrace) -> float:
        assert trace.logprobs is not None
        return trace.logprobs[0]

    # both draw the first token of a greedy continuation with near certainty only when cool
    cool = await traced(server, temperature=0.05)
    greedy = await traced(server, temperature=0.0)
    assert cool.completion_ids[0] == greedy.completion_ids[0]
    assert sharpness(cool) > sharpness(greedy)  # greedy reports the distribution at temperature 1


@pytest.mark.model
async def test_a_reply_is_decoded_under_its_schema(server: VllmServerChat) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["green", "red"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    reply = await server.ainvoke("Name a colour as JSON.", json_schema=schema)
    assert json.loads(str(reply.content))["colour"] in ("green", "red")


@pytest.mark.model
async def test_a_request_beyond_the_window_is_a_context_overflow(server: VllmServerChat) -> None:
    with pytest.raises(ContextOverflow, match=str(WINDOW)):
        await server.ainvoke(ASK, max_tokens=100_000)


@pytest.mark.model
async def test_what_one_backend_serves_another_connects_to(server: VllmServerChat) -> None:
    assert server._fleet is not None
    (endpoint,) = server._fleet.endpoints
    with_name = connect(f"vllm-server:{server.model}@{endpoint.address}", max_tokens=4)
    await with_name.start()
    assert trace_of(await with_name.ainvoke(ASK)) is not None
    await with_name.aclose()
    nameless = connect(f"vllm-server:qwen@{endpoint.address}")
    with pytest.raises(Refused, match="serves no model 'qwen'"):
        await nameless.start()
    with pytest.raises(Refused, match="answered 404"):
        await nameless.ainvoke(ASK)
    await nameless.aclose()


@pytest.mark.model
async def test_an_adapter_changes_what_is_sampled_and_the_bare_model_comes_back(
    server: VllmServerChat, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    before = await traced(server)
    await server.load_adapter(adapters[0], "step-1")
    first = await traced(server)
    await server.load_adapter(adapters[1], "step-2")
    second = await traced(server)
    await server.load_adapter(None, "base")
    after = await traced(server)
    versions = [each.weights_version for each in (before, first, second, after)]
    assert versions == ["base", "step-1", "step-2", "base"]
    assert len({each.completion_ids for each in (before, first, second)}) == 3
    assert after.completion_ids == before.completion_ids
    with pytest.raises(ConfigError, match="adapter_config"):
        await server.load_adapter(tmp_path, "step-3")
    assert (await traced(server)).weights_version == "base"


def look(place: str) -> str:
    """Look at a place."""
    return place


@pytest.mark.model
async def test_a_model_that_was_taught_no_tools_is_refused_before_a_server_starts(
    smollm2_folder: Path,
) -> None:
    server = VllmServerChat(model=str(smollm2_folder))
    with pytest.raises(Refused, match="leaves tools out"):
        await server.bind_tools([look]).ainvoke(ASK)
    assert server._own is not None
    assert server._own._process is None


def test_min_p_and_a_penalty_are_sent_where_they_change_something() -> None:
    chat = VllmServerChat(model="m", base_url="http://127.0.0.1:9/v1")

    def sent(**options: float) -> set[str]:
        body = json.loads(chat._body(chat.build_request([], None, **options), "m"))
        return {name for name in ("min_p", "repetition_penalty") if name in body}

    assert sent() == sent(min_p=0.0, repetition_penalty=1.0) == set()
    assert sent(min_p=0.1) == {"min_p"}
    assert sent(repetition_penalty=1.1) == {"repetition_penalty"}
