"""Judge and loop on the real model: small, but nothing in it is scripted."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.agents.checks import WordCount
from quillgraph.agents.domain import LEVELS, Core, CriteriaSet, Criterion
from quillgraph.agents.requests import writing_task
from quillgraph.backends import Recorder, read_records
from quillgraph.backends.vllm import VllmChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop

TASK = writing_task("Write a short story about a lighthouse keeper who has lost her watch.")

DEGENERATE: list[dict[str, Any]] = [
    row
    for row in yaml.safe_load(
        (Path(__file__).parents[2] / "agents" / "judges" / "degenerate_texts.yaml").read_text(
            "utf-8"
        )
    )
    if row["language"] == "en"
]


def soft(number: int, name: str, what: str) -> Criterion:
    how_much = ("hardly at all", "here and there", "in half of it", "nearly throughout", "all over")
    return Criterion(
        id=f"k{number}.1",
        name=name,
        description=f"In the text {what}.",
        kind="soft",
        tier="essential",
        weight=1.0,
        levels={band: f"{what} {much}" for band, much in zip(LEVELS, how_much, strict=True)},
        category_id=f"k{number}",
        evidence=("i1",),
    )


CRITERIA = CriteriaSet(
    request_hash=TASK.request_hash,
    language="en",
    genre=TASK.genre,
    core=Core(category_id="k1", storyline="A watch is lost and something else is found."),
    criteria=(
        soft(1, "Setting: lighthouse", "the lighthouse can be seen, heard and touched"),
        soft(2, "Character: keeper", "the keeper wants something and acts on it"),
        Criterion(
            id="h1",
            name="At most 400 words",
            description="The text has at most 400 words.",
            kind="hard",
            tier="essential",
            weight=1.0,
            levels={},
            category_id=None,
            evidence=("i1",),
            check=WordCount(max=400),
        ),
    ),
)


@pytest.mark.model
async def test_the_loop_runs_and_keeps_its_promise(vllm_chat: VllmChat, tmp_path: Path) -> None:
    workshop = cast(Workshop, vllm_chat, seed=7, rounds=2, text_tokens=60)
    start = Assignment(task=TASK, criteria_set=CRITERIA)
    with Recorder(tmp_path / "calls.jsonl", run="test") as recorder:
        done = (
            await reflection.build()
            .compile()
            .ainvoke(start, {"callbacks": [recorder]}, context=workshop)
        )
    episode = done["episode"]
    first, best = episode.attempts[0], episode.attempts[episode.best]
    assert first.reward.value is not None
    assert best.reward.value is not None
    assert best.reward.value >= first.reward.value
    assert best.judgement.violated <= first.judgement.violated
    assert 2 <= len(episode.attempts) <= 3
    assert all(
        v.votes and 1 <= v.score <= 10 for a in episode.attempts for v in a.judgement.verdicts
    )
    records = read_records(tmp_path / "calls.jsonl")
    writers = [record for record in records if record.role == "writer"]
    assert writers
    assert all(record.trace for record in writers)
    # a text that was cut to its last sentence is not what the tokens say, so it has no trace
    whole = [record.trace for record in writers if str(record.reply).strip() == first.text]
    assert first.trace == (whole[0] if whole else None)
    judged = [record for record in records if record.role == "judge"]
    # 2 criteria and 2 votes for each text that was judged anew
    assert len(judged) % 4 == 0
    # all calls on one text begin alike, and the engine has read what they share once only
    assert any(record.cached_tokens for record in judged)


@pytest.mark.model
async def test_degenerate_texts_score_below_a_real_draft_of_the_weakest_model(
    vllm_chat: VllmChat,
) -> None:
    graph = judging.build().compile()
    workshop = cast(Workshop, vllm_chat, seed=7, samples=1)

    async def reward_of(text: str) -> float:
        start = judging.Submission(task=TASK, criteria_set=CRITERIA, text=text)
        found = await graph.ainvoke(start, context=workshop)
        value: float = found["reward"].value
        return value

    real = await reward_of(
        "The keeper wound the lamp by feel that night. Her wrist was bare, so she counted the "
        "turns aloud, and the sea kept time for her until the morning boat."
    )
    assert real > 0
    for row in DEGENERATE:
        assert await reward_of(row["text"]) < real, row["name"]
