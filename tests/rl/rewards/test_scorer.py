"""Each text is judged once, and what was paid for is kept."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quillgraph.agents.domain import CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import Judgement, Missing, Verdict, judged, text_hash
from quillgraph.agents.judges import Ballot
from quillgraph.agents.requests import writing_task
from quillgraph.backends.errors import ServerFailed, StorageError
from quillgraph.graphs.prebuilt import Submission
from quillgraph.rl.rewards.scorer import JudgementCache, JudgeQueue, judgement_key

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
TEXT = "The fog lay on the river, and the ferry waited for somebody who did not come."


class Counting:
    """A judge that counts what it is asked, and can be held up."""

    name = "counting"

    def __init__(self, *, silent: bool = False) -> None:
        self.texts: list[str] = []
        self.go = threading.Event()
        self.go.set()
        self.silent = silent
        self.broken = False

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        self.texts.append(text)
        await asyncio.to_thread(self.go.wait)
        if self.broken:
            raise ServerFailed("the judge fell over")
        wanted = judged(tuple(criteria))
        if self.silent:
            return Ballot((), tuple(Missing(criterion_id=c.id, reason="mumbles") for c in wanted))
        return Ballot(tuple(Verdict(criterion_id=c.id, score=6, votes=(6,)) for c in wanted))


@pytest.fixture
def judge() -> Counting:
    return Counting()


@pytest.fixture
def scorer(judge: Counting) -> Iterator[JudgeQueue]:
    queue = JudgeQueue(judge)
    yield queue
    queue.close()


def submission(text: str = TEXT) -> Submission:
    return Submission(task=TASK, criteria_set=CRITERIA, text=text)


async def test_equal_texts_are_judged_once(scorer: JudgeQueue, judge: Counting) -> None:
    judgements = await scorer.judgements(TASK, CRITERIA, [TEXT, f"{TEXT} Not today.", TEXT])
    assert len(judge.texts) == 2
    assert judgements[0] == judgements[2] != judgements[1]


async def test_a_text_that_is_being_judged_is_not_asked_for_again(
    scorer: JudgeQueue, judge: Counting
) -> None:
    judge.go.clear()
    early = scorer.begin(submission())
    late = asyncio.create_task(scorer.judgements(TASK, CRITERIA, [TEXT]))
    await asyncio.sleep(0.01)
    assert not early.done()
    judge.go.set()
    assert await late == [early.result()]
    assert len(judge.texts) == 1
    assert scorer.counts == {"asked": 1, "under_way": 1}


async def test_a_text_that_was_judged_comes_from_the_cache(
    scorer: JudgeQueue, judge: Counting
) -> None:
    first = await scorer.judgements(TASK, CRITERIA, [TEXT])
    assert await scorer.judgements(TASK, CRITERIA, [TEXT]) == first
    assert len(judge.texts) == 1
    assert scorer.counts == {"asked": 1, "cached": 1}


async def test_what_could_not_be_read_is_asked_for_again() -> None:
    judge = Counting(silent=True)
    scorer = JudgeQueue(judge)
    first = await scorer.judgements(TASK, CRITERIA, [TEXT])
    assert first[0].missing
    judge.silent = False
    assert not (await scorer.judgements(TASK, CRITERIA, [TEXT]))[0].missing
    scorer.close()


async def test_a_judge_that_fails_is_asked_again_the_next_time(
    scorer: JudgeQueue, judge: Counting
) -> None:
    judge.broken = True
    with pytest.raises(ServerFailed, match="fell over"):
        await scorer.judgements(TASK, CRITERIA, [TEXT])
    judge.broken = False
    assert (await scorer.judgements(TASK, CRITERIA, [TEXT]))[0].verdicts


async def test_without_a_judge_nobody_is_asked_and_the_checks_are_made() -> None:
    scorer = JudgeQueue()
    (judgement,) = await scorer.judgements(TASK, CRITERIA, ["word " * 200])
    assert judgement.judge == "code"
    assert not judgement.verdicts
    assert judgement.violated
    scorer.close()


def judgement(text: str = TEXT) -> Judgement:
    return Judgement(criteria_sha=CRITERIA.sha256, text_sha=text_hash(text), judge="j")


def test_a_cache_file_outlives_its_process(tmp_path: Path) -> None:
    key = judgement_key(CRITERIA.sha256, text_hash(TEXT), "j", 1)
    first = JudgementCache(tmp_path / "j.sqlite")
    first.put(key, judgement())
    first.close()
    again = JudgementCache(tmp_path / "j.sqlite")
    assert again.get(key) == judgement()
    assert len(again) == 1
    again.close()


def test_judgements_of_another_judge_seed_text_or_set_are_others() -> None:
    keys = {
        judgement_key(*about)
        for about in (("c", "t", "j", 1), ("d", "t", "j", 1), ("c", "u", "j", 1),
                      ("c", "t", "k", 1), ("c", "t", "j", 2))
    }  # fmt: skip
    assert len(keys) == 5


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    full, empty = JudgementCache(), JudgementCache()
    full.put("a", judgement())
    full.save(tmp_path / "copy.sqlite")
    empty.put("b", judgement("another"))
    empty.load(tmp_path / "copy.sqlite")
    assert (empty.get("a"), empty.get("b")) == (judgement(), None)
    full.close()
    empty.close()


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing that SQLite knows" * 50)
    with pytest.raises(StorageError, match=r"cannot open the judgements .*notes.txt"):
        JudgementCache(tmp_path / "notes.txt")


def test_an_entry_of_another_version_is_asked_for_anew(tmp_path: Path) -> None:
    cache = JudgementCache(tmp_path / "j.sqlite")
    other = sqlite3.connect(tmp_path / "j.sqlite")
    other.execute("INSERT INTO judgements VALUES ('a', '{\"shape\": \"old\"}')")
    other.commit()
    other.close()
    assert cache.get("a") is None
    cache.close()


def test_a_cache_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    cache = JudgementCache(tmp_path / "cache.sqlite")
    other = sqlite3.connect(tmp_path / "cache.sqlite", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.commit)
    release.start()
    cache.put("key", Judgement(criteria_sha="a", text_sha="b", judge="j"))
    release.join()
    other.close()
    assert cache.get("key")
    cache.close()
