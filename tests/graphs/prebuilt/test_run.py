"""Writing called from Python: the text that stands, what it takes, how it is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import Verdict
from quillgraph.agents.judges import Ballot
from quillgraph.backends.calls import Budget, read_records
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import BudgetReached, ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.memory import Memory
from quillgraph.graphs.prebuilt import write

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
TEXT = (
    "Fog sat on the wheel like wet wool. A bell rang once, to port, and the deck hummed with it. "
    "The pilot waited for a while, and then he went on."
)


def ferry() -> ScriptedChat:
    return ScriptedChat(path=SCRIPTS / "ferry.yaml")


@dataclass(frozen=True)
class Sevens:
    """A judge that finds every text the same."""

    name: str = "sevens"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        return Ballot(tuple(Verdict(criterion_id=c.id, score=7, votes=(7,)) for c in criteria))


async def test_the_text_that_stands_is_the_revision_that_was_accepted() -> None:
    episode = await write(REQUEST, ferry(), criteria=CRITERIA)
    assert episode.text == TEXT
    decisions = [attempt.decision for attempt in episode.attempts]
    # the second revision is too long, the third loses the pilot's decision
    assert decisions == ["first", "accepted", "refused", "refused"]
    # .85 * (5 + 5 + .9 * 7) / (9 * 2.9) + .10 + .05
    assert episode.standing.reward.value == pytest.approx(0.85 * 16.3 / 26.1 + 0.15)
    assert episode.is_complete


async def test_without_rounds_the_first_draft_stands() -> None:
    episode = await write(REQUEST, ferry(), criteria=CRITERIA, rounds=0)
    assert [attempt.decision for attempt in episode.attempts] == ["first"]
    assert episode.text.startswith("The fog was very thick")


async def test_a_trained_judge_may_stand_for_the_role() -> None:
    episode = await write(REQUEST, ferry(), criteria=CRITERIA, roles={"judge": Sevens()}, rounds=1)
    assert {attempt.judgement.judge for attempt in episode.attempts} == {"sevens"}
    # .85 * 6 / 9 + .10 + .05, whatever is written
    assert episode.standing.reward.value == pytest.approx(0.85 * 6 / 9 + 0.15)


async def test_a_memory_in_a_file_is_opened_and_remembers(tmp_path: Path) -> None:
    file, near = tmp_path / "memory.sqlite", LexicalEmbeddings()
    options: Any = {"criteria": CRITERIA, "embeddings": near, "memory": file}
    first = await write(REQUEST, ferry(), **options)
    assert first.learned
    async with Memory.open(file, near) as memory:
        assert {each.id for each in await memory.lessons()} == {each.id for each in first.learned}


async def test_criteria_are_found_first_where_none_are_given(tmp_path: Path) -> None:
    request = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")
    studied = ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    others = {
        name: ScriptedChat(model=name, reply=lambda _: "You climb the stairs. The gull sleeps.")
        for name in ("writer", "reflector", "consolidator")
    }
    file = tmp_path / "calls.jsonl"
    episode = await write(
        request,
        studied,
        embeddings=LexicalEmbeddings(),
        roles={**others, "judge": Sevens()},
        rounds=0,
        record=file,
    )
    assert len(episode.criteria_set.criteria) == 6
    assert episode.text == "You climb the stairs. The gull sleeps."
    roles = [call.role for call in read_records(file)]
    assert (roles[-1], "axial_coder" in roles) == ("writer", True)


async def test_a_budget_that_ends_in_the_loop_leaves_the_best_text_so_far() -> None:
    # a draft and two votes on it; the reflection is one too many
    episode = await write(REQUEST, ferry(), criteria=CRITERIA, budget=Budget(max_calls=3))
    assert (len(episode.attempts), episode.is_complete) == (1, False)
    assert "3 calls" in episode.stopped


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"roles": {"wirter": ScriptedChat(reply=str)}}, ConfigError, "did you mean 'writer'"),
        ({"roles": {"writer": Sevens()}}, ConfigError, "'writer' has to write, and 'sevens'"),
        ({"rounds": -1}, ConfigError, "expected rounds of 0 or more, got -1"),
        ({"budget": Budget(max_calls=0)}, BudgetReached, "calls"),
    ],
)
async def test_what_does_not_fit_is_refused(
    options: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await write(REQUEST, ferry(), criteria=CRITERIA, **options)
