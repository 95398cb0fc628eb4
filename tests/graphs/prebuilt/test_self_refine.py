"""Self-Refine: how long it goes on, and which text it gives."""

from typing import Any

import pytest

from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import ConfigError, ContextOverflow
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.prebuilt import self_refine

TASK = writing_task("A line on the ferry that leaves before the fog does.")


class Refining(ScriptedChat):
    """Writes version after version; every prompt counts 8 tokens and every reply 2."""

    counted: bool = True
    overflows: bool = False
    prompts: list[str]

    def __init__(self, **fields: Any) -> None:
        super().__init__(reply=self._answer, **{"prompts": [], **fields})

    def _answer(self, request: ChatRequest) -> str:
        text = request.messages[-1].content
        self.prompts.append(text)
        if "What would make it better:" in text:
            if self.overflows:
                raise ContextOverflow("too long")
            return f"More bell. (round {sum('better:' in each for each in self.prompts)})"
        versions = sum("<feedback>" in each for each in self.prompts)
        return f"The ferry leaves the harbour, version {versions}."

    async def _complete(self, request: ChatRequest) -> Completion:
        done = await super()._complete(request)
        prompt, reply = (8, 2) if self.counted else (0, 0)
        return done.model_copy(update={"prompt_tokens": prompt, "completion_tokens": reply})


async def refined(model: ScriptedChat, **measures: int) -> tuple[str, int]:
    budget = Budget()
    desk = self_refine.Desk(Role("writer", model, budget=budget))
    start: Any = {"task": TASK, **measures}
    done = await self_refine.build().compile().ainvoke(start, context=desk)
    return done["text"], budget.tokens


@pytest.mark.parametrize(
    ("tokens", "version", "spent"),
    [
        # the draft costs 10, a round 20
        (9, 0, 10),  # the draft is always written
        (19, 0, 10),  # 9 are left, and the dearest step cost 10
        (20, 1, 30),  # 10 are left: one round, which passes them by 10
        (49, 1, 30),  # 19 are left, and the dearest step cost 20
        (50, 2, 50),  # 20 are left after the first round
    ],
)
async def test_rounds_go_on_while_the_dearest_step_could_be_paid_again(
    tokens: int, version: int, spent: int
) -> None:
    text, cost = await refined(Refining(), tokens=tokens)
    assert text == f"The ferry leaves the harbour, version {version}."
    assert cost == spent


async def test_rounds_can_be_counted_instead_and_each_reads_text_and_feedback() -> None:
    model = Refining()
    text, _ = await refined(model, rounds=2)
    assert text == "The ferry leaves the harbour, version 2."
    last = model.prompts[-1]
    assert "version 1." in last
    assert "More bell. (round 2)" in last


async def test_a_text_beyond_the_window_is_the_last_one() -> None:
    text, _ = await refined(Refining(overflows=True), rounds=3)
    assert text == "The ferry leaves the harbour, version 0."


@pytest.mark.parametrize("measures", [{}, {"tokens": 0}, {"tokens": 9, "rounds": 1}])
async def test_either_tokens_or_rounds_must_be_given(measures: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected either tokens or rounds"):
        await refined(Refining(), **measures)


async def test_tokens_that_nobody_counts_cannot_be_spent() -> None:
    with pytest.raises(ConfigError, match="counts no tokens"):
        await refined(Refining(counted=False), tokens=100)
