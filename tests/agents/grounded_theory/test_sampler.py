"""The sampler."""

from collections.abc import Callable

import pytest

from quillgraph.agents.domain import Draft, WritingTask
from quillgraph.agents.grounded_theory.sampler import PERSONAS, SHORTEST_DRAFT, draft_sample
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest

TEXT = "The lamp turned above a sea that nobody watched."


async def test_a_draft_is_what_the_sampler_wrote_in_its_persona(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying(f"\n{TEXT} \n", name="sampler")
    assert await draft_sample(task, 1, role, max_tokens=300) == Draft(
        id="d2", text=TEXT, strength="weak"
    )
    [request] = requests
    assert request.messages[0].content.startswith(PERSONAS[1].voice)
    assert request.messages[1].content == task.request
    assert (request.max_tokens, request.temperature) == (300, PERSONAS[1].temperature)
    assert request.json_schema is None


async def test_a_draft_that_is_too_short_is_drawn_again_with_another_seed(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    draft = await draft_sample(
        task, 0, role_saying("x" * (SHORTEST_DRAFT - 1), TEXT), max_tokens=300
    )
    assert draft == Draft(id="d1", text=TEXT, strength="strong")
    assert requests[0].messages == requests[1].messages
    assert requests[0].seed != requests[1].seed


@pytest.mark.parametrize("poor", ["", " " * 90, "x" * (SHORTEST_DRAFT - 1)])
async def test_two_tries_that_give_nothing_give_no_draft(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest], poor: str
) -> None:
    assert await draft_sample(task, 0, role_saying(poor), max_tokens=300) is None
    assert len(requests) == 2


async def test_the_shortest_draft_is_long_enough(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    draft = await draft_sample(task, 0, role_saying("x" * SHORTEST_DRAFT), max_tokens=300)
    assert draft is not None
    assert len(requests) == 1


async def test_personas_go_round_and_every_draft_has_its_own_seed(
    task: WritingTask, role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying(TEXT)
    drafts = [await draft_sample(task, number, role, max_tokens=300) for number in range(5)]
    assert [each and each.id for each in drafts] == ["d1", "d2", "d3", "d4", "d5"]
    strengths = [each and each.strength for each in drafts]
    assert strengths == ["strong", "weak", "strong", "weak", "strong"]
    assert requests[4].messages == requests[0].messages
    assert len({request.seed for request in requests}) == 5


def test_four_drafts_have_a_weak_voice_and_two_strong_ones() -> None:
    strengths = [persona.strength for persona in PERSONAS]
    assert strengths.count("weak") >= 1
    assert strengths.count("strong") >= 2
    assert len({persona.voice for persona in PERSONAS}) == len(PERSONAS)
