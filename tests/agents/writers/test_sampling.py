"""How a writer is sampled."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.role import Role
from quillgraph.agents.writers.reflection import Plan, Reflection
from quillgraph.agents.writers.sampling import PLAIN, STEADY, STEADY_BY_TOP_P, writing_options
from quillgraph.agents.writers.self_refine import refine
from quillgraph.agents.writers.writer import Precedents, revise, write_draft
from quillgraph.backends import connect
from quillgraph.backends.chat import ChatRequest

MakeRole = Callable[..., Role]
Write = Callable[[WritingTask, Role], Any]

STORY = "The lamp went out.\n\nHe counted to nine, and it was day."


def plan(quote: str | None) -> Plan:
    edit = Reflection(criterion_id="k", criterion="K", quote=quote, cause="-", fix="Let it drown.")
    return Plan(edits=(edit,), keep=())


async def draft(task: WritingTask, role: Role) -> None:
    await write_draft(task, Precedents(), role, number=0, max_tokens=99)


async def revise_a_sentence(task: WritingTask, role: Role) -> None:
    edits = plan("The lamp went out.")
    await revise(task, STORY, edits, role, lessons=(), number=1, max_tokens=99)


async def revise_the_whole(task: WritingTask, role: Role) -> None:
    await revise(task, STORY, plan(None), role, lessons=(), number=1, max_tokens=99)


async def refine_it(task: WritingTask, role: Role) -> None:
    await refine(task, STORY, "More oil.", role, number=1, max_tokens=99)


WAYS = pytest.mark.parametrize("write", [draft, revise_a_sentence, revise_the_whole, refine_it])


def sampling(request: ChatRequest) -> dict[str, float]:
    return {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "min_p": request.min_p,
        "repetition_penalty": request.repetition_penalty,
    }


AS_EVER = {"temperature": 0.8, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}


@WAYS
async def test_what_a_small_model_writes_for_a_reader_is_kept_to_what_it_finds_likely(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest], write: Write
) -> None:
    await write(task, role_of(STORY, chooses=True))
    assert [sampling(each) for each in requests] == [{**AS_EVER, **STEADY}]
    assert requests[0].is_bent


@WAYS
async def test_a_small_model_that_is_learned_from_is_asked_as_it_ever_was(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest], write: Write
) -> None:
    role = dataclasses.replace(role_of(STORY, chooses=True), is_learned_from=True)
    await write(task, role)
    assert [sampling(each) for each in requests] == [AS_EVER]


@WAYS
async def test_a_larger_model_is_asked_as_it_ever_was(
    task: WritingTask, role_of: MakeRole, requests: list[ChatRequest], write: Write
) -> None:
    await write(task, role_of(STORY))
    assert [sampling(each) for each in requests] == [AS_EVER]


def test_an_interface_that_takes_neither_min_p_nor_a_penalty_is_asked_for_neither() -> None:
    served = connect("openai:small@http://127.0.0.1:9/v1?items_per_call=1")
    strange = FakeListChatModel(responses=["so"])
    for model in (served, strange):
        role = Role("writer", model)
        assert role.chooses
        assert writing_options(role) == STEADY_BY_TOP_P
    request = served.build_request([], None, **STEADY_BY_TOP_P)
    assert not request.is_bent


@pytest.mark.parametrize("spec", ["vllm", "vllm-server", "transformers"])
def test_every_engine_of_our_own_takes_what_a_small_writer_is_asked_with(spec: str) -> None:
    pytest.importorskip("vllm" if spec.startswith("vllm") else "transformers")
    role = Role("writer", connect(f"{spec}:smollm2-135m"))
    assert role.chooses
    assert writing_options(role) == STEADY
    assert PLAIN == {"temperature": 0.8}
