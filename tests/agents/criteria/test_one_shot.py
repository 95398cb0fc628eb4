"""All criteria from a single prompt."""

import json
from typing import Any

from quillgraph.agents.criteria.one_shot import one_shot_criteria
from quillgraph.agents.domain import LEVELS
from quillgraph.agents.requests.task import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat

TASK = writing_task("A toast for two rival bakers.")


def reply(*names: str) -> str:
    levels = {band: f"This is level {band}." for band in LEVELS}
    items = [
        {"name": name, "description": f"The text shows {name}.", "levels": levels} for name in names
    ]
    return json.dumps({"items": items})


def role(*replies: str) -> tuple[Role, list[ChatRequest]]:
    requests: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str:
        requests.append(request)
        return replies[min(len(requests), len(replies)) - 1]

    return Role("one_shot", ScriptedChat(reply=answer)), requests


async def test_one_call_gives_five_criteria_of_one_weight() -> None:
    speaker, requests = role(
        reply("Rivalry", "Warm bread", "Two voices", "A raised glass", "Brevity")
    )
    answers = await one_shot_criteria(TASK, speaker)
    assert len(requests) == 1
    assert "A toast for two rival bakers." in requests[0].messages[-1].content
    assert [(c.id, c.name) for c in answers.items[:2]] == [("o1", "Rivalry"), ("o2", "Warm bread")]
    assert {(c.kind, c.weight, c.evidence) for c in answers.items} == {("soft", 0.7, ("i1",))}
    assert answers.items[0].levels["9-10"] == "This is level 9-10."


async def test_of_a_reply_that_never_fits_the_criteria_that_can_be_read_are_kept() -> None:
    # three criteria where five are asked for, and one of them without levels
    broken: dict[str, Any] = json.loads(reply("Rivalry", "Warm bread", "Two voices"))
    del broken["items"][1]["levels"]
    speaker, requests = role(json.dumps(broken))
    answers = await one_shot_criteria(TASK, speaker)
    assert len(requests) == 2
    assert [c.name for c in answers.items] == ["Rivalry", "Two voices"]
    (lost,) = answers.dropped
    assert lost.stage == "one-shot criteria"
    assert "levels" in lost.reason
