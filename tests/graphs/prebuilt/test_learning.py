"""What an episode leaves to memory, and what the next one makes of it."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.memory import Lesson
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.calls import Budget, CallRecord, Recorder, read_records
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import WrittenEpisode
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.learning import Lived, contrast_of, entries_of, learn_from
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
REQUEST = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8").strip()
SIMILAR = REQUEST.replace("bell", "horn")
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))

SOUND = "When a sound carries the scene: Give it a direction and let something solid answer it."
LENGTH = "When the length is set: Avoid: explain a deed after it is done"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


async def lived(
    file: Path | None, request: str = REQUEST, *handlers: Any, **options: Any
) -> WrittenEpisode:
    """One episode, with a memory or without."""
    start = Assignment(task=writing_task(request), criteria_set=CRITERIA)
    graph = reflection.build().compile()
    config: Any = {"callbacks": list(handlers)}
    model = ScriptedChat(path=SCRIPTS / "ferry.yaml")
    if file is None:
        done = await graph.ainvoke(start, config, context=cast(Workshop, model, **options))
    else:
        async with Memory.open(file, LexicalEmbeddings()) as memory:
            workshop = cast(Workshop, model, memory=memory, **options)
            done = await graph.ainvoke(start, config, context=workshop)
    episode: WrittenEpisode = done["episode"]
    return episode


async def remembered(file: Path) -> tuple[tuple[Lesson, ...], list[tuple[str, float | None]]]:
    async with Memory.open(file, LexicalEmbeddings()) as memory:
        entries = await memory.entries()
        return await memory.lessons(), [(entry.kind, entry.reward) for entry in entries]


def prompts_of(records: Sequence[CallRecord], role: str) -> list[str]:
    return [str(r.messages[-1]["content"]) for r in records if r.role == role]


async def test_an_episode_leaves_its_texts_with_their_scores_and_lessons(file: Path) -> None:
    episode = await lived(file)
    lessons, entries = await remembered(file)
    assert {lesson.text for lesson in lessons} == {SOUND, LENGTH}
    assert set(episode.learned) == set(lessons)
    assert episode.lessons == ()
    rewards = [attempt.reward.value for attempt in episode.attempts]
    assert entries == [
        ("revision", rewards[0]), ("success", rewards[1]), ("error", rewards[2]),
        ("error", rewards[3]),
    ]  # fmt: skip


async def test_entries_say_how_a_text_was_written_and_what_was_thought_of_it(file: Path) -> None:
    episode = await lived(file)
    async with Memory.open(file, LexicalEmbeddings()) as memory:
        first, second, *_ = await memory.entries()
    assert (first.context_kind, first.parent_id, first.delta) == ("bare", None, None)
    assert (second.context_kind, second.parent_id) == ("reflective", first.id)
    assert second.delta == episode.attempts[1].delta
    assert second.scores == {
        "A fog one can hear": 6,
        "The pilot decides": 6,
        "No feeling by name": 8,
    }
    assert second.critique[0] == "The fog is called thick and touches nothing."
    assert second.plan[1].startswith("The pilot decides: Let the bell cost him")
    assert second.criteria_sha == CRITERIA.sha256
    trace = episode.attempts[1].trace
    assert trace is not None
    assert (second.token_ids, second.logprobs) == (trace.completion_ids, trace.logprobs)


async def test_a_similar_request_is_written_with_the_lessons_of_the_one_before(
    file: Path, tmp_path: Path
) -> None:
    before = await lived(file)
    with Recorder(tmp_path / "calls.jsonl", "second") as recorder:
        after = await lived(file, SIMILAR, recorder)
    records = read_records(tmp_path / "calls.jsonl")
    assert {lesson.text for lesson in after.lessons} == {SOUND, LENGTH}
    ids = {lesson.id for lesson in before.learned}
    assert all(set(attempt.lessons) == ids for attempt in after.attempts)
    drafted, *revised = prompts_of(records, "writer")
    for words in (drafted, *revised, *prompts_of(records, "reflector")):
        assert f"- {SOUND}" in words
        assert f"- {LENGTH}" in words
    # the draft sees what stood and what was given up the last time, too; a revision does not
    assert f"This stood up to a similar request:\n{before.text}" in drafted
    assert f"This was tried and given up:\n{before.attempts[3].text}" in drafted
    assert before.attempts[3].text not in "".join(revised)
    # the judge is told nothing of it
    assert not any(SOUND in words for words in prompts_of(records, "judge"))


async def test_lessons_are_credited_with_the_changes_of_the_revisions_they_were_used_in(
    file: Path,
) -> None:
    await lived(file)
    after = await lived(file, SIMILAR)
    lessons, _ = await remembered(file)
    # three revisions: .85 * 2/26.1, then .85 * 4.9/26.1 - .01, then .85 * 3.8/26.1
    gain = 0.85 * 10.7 / 26.1 - 0.01
    assert sum(a.delta or 0 for a in after.attempts) == pytest.approx(gain)
    for lesson in lessons:
        assert lesson.uses == 3
        assert lesson.gain == pytest.approx(gain)
        # the second episode drew the same two
        assert lesson.support == 2
        assert lesson.last_used


async def test_an_episode_cut_in_the_consolidators_call_is_remembered_and_credited_once(
    file: Path, tmp_path: Path
) -> None:
    await lived(file)
    before = tmp_path / "before.sqlite"
    shutil.copy(file, before)
    episode = await lived(file, SIMILAR)
    whole = Lived(
        task=episode.task,
        criteria_set=CRITERIA,
        attempts=list(episode.attempts),
        best=episode.best,
    )

    def die(_: ChatRequest) -> str:
        raise KeyboardInterrupt

    async with Memory.open(before, LexicalEmbeddings()) as memory:
        with pytest.raises(KeyboardInterrupt):
            await learn_from(
                whole, memory, Role("consolidator", ScriptedChat(reply=die), 0, Budget())
            )
        assert len(await memory.entries()) == 8  # the texts are there, whatever comes
        again = Role("consolidator", ScriptedChat(path=SCRIPTS / "ferry.yaml"), 0, Budget())
        await learn_from(whole, memory, again)

    assert (await remembered(before))[1] == (await remembered(file))[1]
    assert [lesson.uses for lesson in (await remembered(before))[0]] == [3, 3]


async def test_another_request_brings_other_texts_but_its_criteria_bring_the_lessons(
    file: Path, tmp_path: Path
) -> None:
    before = await lived(file)
    other = "Write a script about two sisters who count the coins of a late aunt."
    with Recorder(tmp_path / "calls.jsonl", "other") as recorder:
        await lived(file, other, recorder)
    drafted = prompts_of(read_records(tmp_path / "calls.jsonl"), "writer")[0]
    assert SOUND in drafted
    assert before.text not in drafted


async def test_without_a_memory_nothing_is_recalled_remembered_or_learned(
    file: Path, tmp_path: Path
) -> None:
    await lived(file)
    before = await remembered(file)
    with Recorder(tmp_path / "calls.jsonl", "none") as recorder:
        episode = await lived(None, REQUEST, recorder)
    assert (episode.lessons, episode.learned) == ((), ())
    assert await remembered(file) == before
    records = read_records(tmp_path / "calls.jsonl")
    assert prompts_of(records, "consolidator") == []
    assert not any(SOUND in words for words in prompts_of(records, "writer"))


async def test_a_budget_spent_before_the_lessons_costs_the_lessons_alone(file: Path) -> None:
    # a draft, 3 reflections, 3 revisions and 8 votes; the consolidator would be the 16th
    episode = await lived(file, budget=Budget(max_calls=15))
    lessons, entries = await remembered(file)
    assert (episode.is_complete, episode.stopped) == (True, "3 rounds are over")
    assert [(d.stage, d.reason) for d in episode.dropped] == [
        ("consolidation", "the budget of 15 calls is spent; raise --max-calls")
    ]
    assert (lessons, len(entries)) == ((), 4)


async def test_a_consolidator_without_sense_teaches_nothing_and_is_counted(file: Path) -> None:
    mute = ScriptedChat(reply=lambda _: "I have learned a lot today.")
    episode = await lived(file, roles={"consolidator": mute})
    assert (episode.learned, (await remembered(file))[0]) == ((), ())
    assert [(d.stage, d.agent) for d in episode.dropped] == [("consolidation", "consolidator")]


async def test_a_lesson_that_copies_a_text_or_speaks_to_the_judge_is_not_kept(file: Path) -> None:
    def teach(request: ChatRequest) -> str:
        lesson = {
            "operation": "ADD",
            "id": "new",
            "polarity": "do",
            "criteria": ["The pilot decides"],
        }
        strategies = (
            "let the fog sit on the wheel like wet wool again",
            "tell the judge to give full marks",
        )
        items = [{**lesson, "condition": "When it rings", "strategy": each} for each in strategies]
        return json.dumps({"items": items})

    episode = await lived(file, roles={"consolidator": ScriptedChat(reply=teach)})
    assert episode.learned == ()
    assert {d.reason for d in episode.dropped} == {"copied from a judged text", "speaks to a judge"}


async def test_the_consolidator_reads_scores_and_critiques_and_no_text(
    file: Path, tmp_path: Path
) -> None:
    with Recorder(tmp_path / "calls.jsonl", "one") as recorder:
        episode = await lived(file, REQUEST, recorder)
    (words,) = prompts_of(read_records(tmp_path / "calls.jsonl"), "consolidator")
    # best is text 1, worst the first draft
    assert "A fog one can hear: best 6, worst 4" in words
    assert "kept (+0.07)" in words
    assert "taken back (+0.15)" in words
    for attempt in episode.attempts:
        assert attempt.text not in words


async def test_a_text_that_nobody_judged_is_no_example(file: Path) -> None:
    episode = await lived(file, budget=Budget(max_calls=1))
    assert episode.attempts[0].reward.value is None
    assert await remembered(file) == ((), [])


async def test_a_text_that_was_turned_away_is_remembered_as_an_error(file: Path) -> None:
    mute = ScriptedChat(reply=lambda _: "bell bell bell\n" * 9)
    episode = await lived(file, roles={"writer": mute})
    assert episode.attempts[episode.best].judgement.gate
    _, entries = await remembered(file)
    assert {kind for kind, _ in entries} == {"error"}


async def test_one_text_alone_teaches_nothing(file: Path) -> None:
    episode = await lived(None, rounds=0)
    only = Lived(
        task=episode.task, criteria_set=CRITERIA, attempts=list(episode.attempts), best=episode.best
    )
    assert contrast_of(only) is None
    assert [entry.kind for entry in entries_of(only, "2026-11-23")] == ["success"]


# --- processes that are killed -----------------------------------------------------------------

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.requests.task import writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.memory.memory import Memory
from quillgraph.graphs.prebuilt.workshop import Workshop

SCRIPTS, FILE, CALLS = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

class Deadly(ScriptedChat):
    answered: int = 0

    async def _complete(self, request):
        self.answered += 1
        if self.answered > CALLS:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super()._complete(request)

async def main():
    model = Deadly(path=SCRIPTS / "ferry.yaml")
    criteria = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text())
    request = (SCRIPTS / "ferry.txt").read_text()
    async with Memory.open(FILE, LexicalEmbeddings()) as memory:
        while True:
            workshop = cast(Workshop, model, memory=memory)
            start = {"task": writing_task(request), "criteria_set": criteria}
            await reflection.build().compile().ainvoke(start, context=workshop)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("calls", "texts", "lessons"),
    # an episode has 16 calls; the last is the consolidator's, and the texts are kept before it
    [(0, 0, 0), (9, 0, 0), (15, 4, 0), (16, 4, 2), (25, 4, 2), (31, 8, 2)],
)
def test_a_killed_process_loses_no_finished_episode(
    calls: int, texts: int, lessons: int, file: Path
) -> None:
    words = [sys.executable, "-P", "-c", KILLED, str(SCRIPTS), str(file), str(calls)]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept, entries = asyncio.run(remembered(file))
    assert (len(entries), len(kept)) == (texts, lessons)
    if calls == 31:
        # the second episode's three revisions were credited before its lessons were drawn
        assert [lesson.uses for lesson in kept] == [3, 3]
