"""What is said of an adapter before an engine hears of it, and the swap on a model of toy size."""

import asyncio
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError
from quillgraph.backends.messages.trace import TokenTrace, trace_of
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.backends.transformers.chat import TransformersChat
from quillgraph.backends.weights.adapter import check_adapter, rank_for, served_adapter
from quillgraph.backends.weights.adapter_config import CONFIG, WEIGHTS

pytest.importorskip("peft")

WIDTH = 32

SaveAdapter = Callable[..., Path]


def llama(width: int = WIDTH, layers: int = 2) -> Any:
    """A Llama with SmolLM2's vocabulary and random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=49152, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(shape)


@pytest.fixture(scope="module")
def toy(smollm2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a toy model and a real tokenizer."""
    folder = tmp_path_factory.mktemp("toy")
    llama().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(smollm2_folder / name, folder)
    return folder


@pytest.fixture(scope="module")
def good(save_adapter: SaveAdapter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the toy model."""
    return save_adapter(llama(), tmp_path_factory.mktemp("good"), seed=1)


@pytest.fixture
def adapter(good: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(good, tmp_path / "adapter"))


def configure(adapter: Path, **changes: Any) -> None:
    path = adapter / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_adapter_as_peft_writes_it_fits_its_model(toy: Path, good: Path) -> None:
    assert check_adapter(good, str(toy), 8) == good.resolve()


@pytest.mark.parametrize(
    ("changes", "rank"),
    [
        ({"r": 1}, 1),
        ({"r": 8}, 8),
        ({"r": 9}, 16),
        ({"r": 8, "rank_pattern": {"up_proj": 24}}, 32),
    ],
)
def test_an_engine_is_started_for_the_next_rank_that_it_has(
    adapter: Path, changes: dict[str, Any], rank: int
) -> None:
    configure(adapter, **changes)
    assert rank_for(adapter) == rank


def test_a_rank_above_all_that_an_engine_has_is_refused(adapter: Path) -> None:
    configure(adapter, r=513)
    with pytest.raises(ConfigError, match="has rank 513, and vLLM takes 512 at most"):
        rank_for(adapter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "expected a LoRA adapter in .*, got peft_type 'IA3'"),
        ({"use_dora": True}, "use_dora=True"),
        ({"bias": "all"}, "bias='all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": 0}, "expected ranks of 1 or more"),
        ({"r": 4}, "says rank 4, and .* has rank 8"),
        ({"rank_pattern": {"q_proj": 64}}, "has rank 64, and the engine was started for 16"),
    ],
)
def test_an_adapter_of_another_kind_or_rank_is_refused(
    toy: Path, adapter: Path, changes: dict[str, Any], message: str
) -> None:
    configure(adapter, **changes)
    with pytest.raises(ConfigError, match=message):
        check_adapter(adapter, str(toy), 16)


def test_a_rank_above_the_engines_is_refused(toy: Path, good: Path) -> None:
    with pytest.raises(ConfigError, match="rank 8, and the engine was started for 1 at most"):
        check_adapter(good, str(toy), 1)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        # its query projection is 32x32 at width 32 and 48x48 at width 48
        ({"width": 48}, r"as a weight of 48×48, and in .* it has 32×32"),
        ({"layers": 3}, r"it adapts 'model.layers.2.\S+', which .* does not have"),
    ],
)
def test_an_adapter_of_another_base_is_refused(
    toy: Path, tmp_path: Path, save_adapter: SaveAdapter, other: dict[str, int], message: str
) -> None:
    save_adapter(llama(**other), tmp_path, seed=1, target_modules=["q_proj"])
    with pytest.raises(ConfigError, match=f"trained for another base: .*{message}"):
        check_adapter(tmp_path, str(toy))


def resave(adapter: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(adapter / WEIGHTS)
    save_file(change(tensors), adapter / WEIGHTS)


def test_integers_are_no_weights(toy: Path, adapter: Path) -> None:
    import torch

    resave(adapter, lambda weights: {name: each.to(torch.int8) for name, each in weights.items()})
    with pytest.raises(ConfigError, match=r"expected float32, float16 or bfloat16 in .*, got int8"):
        check_adapter(adapter, str(toy))


def test_weights_that_are_no_numbers_are_refused(toy: Path, adapter: Path) -> None:
    resave(adapter, lambda weights: {name: each / 0 for name, each in weights.items()})
    with pytest.raises(ConfigError, match=r"holds NaN or infinity: the training .* has diverged"):
        check_adapter(adapter, str(toy))


def test_an_adapter_that_lacks_half_of_a_pair_is_damaged(toy: Path, adapter: Path) -> None:
    resave(adapter, lambda weights: dict(sorted(weights.items())[1:]))
    with pytest.raises(ConfigError, match="lacks the A or the B of some module"):
        check_adapter(adapter, str(toy))


def test_a_file_that_was_cut_is_refused(toy: Path, adapter: Path) -> None:
    whole = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="cannot read the adapter's weights"):
        check_adapter(adapter, str(toy))


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_without_an_adapter_is_refused(toy: Path, adapter: Path, name: str) -> None:
    (adapter / name).unlink()
    with pytest.raises(ConfigError, match=name):
        check_adapter(adapter, str(toy))


PATTERNS = {
    "r": 4,
    "lora_alpha": 6,
    "rank_pattern": {"q_proj": 8, r"layers\.1\.mlp\.up_proj": 2},
    "alpha_pattern": {"v_proj": 20},
}


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("embeds", [False, True])
def test_modules_of_several_ranks_and_scales_are_written_as_the_same_products_with_one(
    toy: Path, tmp_path: Path, save_adapter: SaveAdapter, use_rslora: bool, embeds: bool
) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file

    modules = ["q_proj", "v_proj", "up_proj", *(["embed_tokens"] if embeds else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tied weights, and of embeddings that are saved
        save_adapter(
            llama(), tmp_path, seed=1, target_modules=modules, use_rslora=use_rslora, **PATTERNS
        )
        own, written = [
            PeftModel.from_pretrained(llama(), folder).get_base_model()
            for folder in (tmp_path, served_adapter(tmp_path, str(toy), 8))
        ]
    folder = served_adapter(tmp_path, str(toy), 8)
    config = json.loads((folder / CONFIG).read_text())
    assert (config["r"], config["lora_alpha"], config["rank_pattern"]) == (8, 8, {})
    tensors = load_file(folder / WEIGHTS)
    # two matrices for q, v and up in two layers, and for the embeddings; none of the base's own
    assert len(tensors) == 2 * (3 * 2 + embeds)
    assert {min(each.shape) for each in tensors.values()} == {8}
    changed = 0
    for name, module in own.named_modules():
        if hasattr(module, "get_delta_weight"):
            twin = written.get_submodule(name)
            expected, got = [each.get_delta_weight("default") for each in (module, twin)]
            assert torch.allclose(got, expected, rtol=1e-5, atol=1e-7), name
            changed += bool(expected.any())
    assert changed == 3 * 2 + embeds


def test_an_adapter_of_one_rank_and_scale_is_read_where_it_is(toy: Path, good: Path) -> None:
    assert served_adapter(good, str(toy), 8) == good.resolve()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["q_proj", "v_proj"], r"holds matrices for '\S+up_proj', which \S+ does not name"),
        (["q_proj", "v_proj", "up_proj", "o_proj"], r"lacks matrices for '\S+o_proj'"),
    ],
)
def test_matrices_that_the_configuration_does_not_name_are_not_read_by_one_engine_alone(
    toy: Path, adapter: Path, names: list[str], message: str
) -> None:
    configure(adapter, target_modules=names)
    with pytest.raises(ConfigError, match=message):
        check_adapter(adapter, str(toy))


def test_fields_that_say_nothing_are_as_if_left_out(toy: Path, adapter: Path) -> None:
    configure(adapter, rank_pattern=None, alpha_pattern=None, modules_to_save=[], kasa_config=None)
    assert served_adapter(adapter, str(toy)) == adapter.resolve()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_modules": "q_proj("}, "PEFT cannot put the adapter in"),
        ({"target_modules": ["nothing"]}, "PEFT cannot put the adapter in"),
        ({"alpha_pattern": {"q_proj": "8"}}, "expected numbers as lora_alpha"),
    ],
)
def test_what_peft_itself_would_not_take_is_refused_with_its_words(
    toy: Path, adapter: Path, changes: dict[str, Any], message: str
) -> None:
    configure(adapter, **changes)
    with pytest.raises(ConfigError, match=message):
        check_adapter(adapter, str(toy))


def test_names_that_peft_passes_over_are_refused(toy: Path, adapter: Path) -> None:
    resave(
        adapter,
        lambda weights: {
            name.removeprefix("base_model.model."): each for name, each in weights.items()
        },
    )
    with pytest.raises(ConfigError, match="which no LoRA of matrices has"):
        check_adapter(adapter, str(toy))


@pytest.mark.parametrize("change", ["trained", "grown", "same"])
def test_weights_of_the_base_in_an_adapter_are_those_of_the_base(
    toy: Path, tmp_path: Path, save_adapter: SaveAdapter, change: str
) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_adapter(llama(), tmp_path, seed=1, target_modules=["lm_head"])
    name = "base_model.model.lm_head.base_layer.weight"

    def changed(weights: dict[str, Any]) -> dict[str, Any]:
        weight = weights[name]
        if change == "trained":
            weight = weight + 1e-3
        if change == "grown":
            weight = torch.cat([weight, weight[:2]])
        return {**weights, name: weight}

    resave(tmp_path, changed)
    if change == "same":
        assert served_adapter(tmp_path, str(toy)) != tmp_path
        return
    with pytest.raises(ConfigError, match=r"lm_head.base_layer.weight', which differs from"):
        check_adapter(tmp_path, str(toy))


async def test_a_backend_without_adapters_refuses_to_load_one(good: Path) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    with pytest.raises(ConfigError, match="ScriptedChat swaps no adapters"):
        await chat.load_adapter(good, "one")


@pytest.fixture(scope="module")
def chat(toy: Path) -> Iterator[TransformersChat]:
    backend = TransformersChat(model=str(toy), max_tokens=8)
    yield backend
    asyncio.run(backend.aclose())


async def traced(chat: TransformersChat) -> TokenTrace:
    trace = trace_of(await chat.ainvoke("Hi", temperature=1.0, seed=3))
    assert trace is not None
    return trace


async def test_a_path_goes_with_a_version_of_its_own(chat: TransformersChat, good: Path) -> None:
    with pytest.raises(ConfigError, match="or None with 'base'"):
        await chat.load_adapter(good, "base")
    with pytest.raises(ConfigError, match="or None with 'base'"):
        await chat.load_adapter(None, "one")


async def test_a_refused_adapter_changes_nothing(
    chat: TransformersChat, good: Path, adapter: Path
) -> None:
    await chat.load_adapter(good, "one")
    before = await traced(chat)
    configure(adapter, peft_type="IA3")
    with pytest.raises(ConfigError):
        await chat.load_adapter(adapter, "two")
    assert await traced(chat) == before
    assert before.weights_version == "one"


async def test_each_swap_changes_the_weights_and_the_bare_model_comes_back(
    chat: TransformersChat, good: Path, tmp_path: Path, save_adapter: SaveAdapter
) -> None:
    other = save_adapter(llama(), tmp_path, seed=2)
    traces = []
    for path, version in ((None, "base"), (good, "1"), (other, "2"), (good, "3"), (None, "base")):
        await chat.load_adapter(path, version)
        traces.append(await traced(chat))
    assert [each.weights_version for each in traces] == ["base", "1", "2", "3", "base"]
    bare, one, two, again, last = [each.logprobs for each in traces]
    assert (bare, one) == (last, again)
    assert len({bare, one, two}) == 3
