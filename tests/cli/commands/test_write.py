"""`quillgraph write`: the whole loop from the command line, on a script that is written by hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import Judgement
from quillgraph.agents.judges import reward
from quillgraph.agents.writers import refusals
from quillgraph.backends.calls import read_records
from quillgraph.graphs.episodes import Attempt, WrittenEpisode

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
COMMAND = Path(sys.executable).with_name("quillgraph")
CRITERIA = SCRIPTS / "ferry.criteria.json"


def words(*more: object, script: Path | str = SCRIPTS / "ferry.yaml") -> list[str]:
    arguments = (
        "write", "--file", SCRIPTS / "ferry.txt", "--criteria", CRITERIA,
        "--backend", f"scripted:{script}", "--out", "run", *more,
    )  # fmt: skip
    return [str(word) for word in arguments]


def read(name: str, folder: str = "run") -> Any:
    return json.loads(Path(folder, name).read_text(encoding="utf-8"))


def episode(folder: str = "run") -> WrittenEpisode:
    return WrittenEpisode.model_validate_json(
        Path(folder, "episode.json").read_text(encoding="utf-8")
    )


def script_with(*rules: dict[str, Any], name: str = "other.yaml") -> str:
    """The ferry's script with rules before its own."""
    known = yaml.safe_load((SCRIPTS / "ferry.yaml").read_text(encoding="utf-8"))
    Path(name).write_text(yaml.safe_dump({"rules": [*rules, *known["rules"]]}), encoding="utf-8")
    return name


def test_the_screen_shows_the_text_first_then_the_criteria_then_the_loop(
    quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = quillgraph(*words())
    assert done.status == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert len(lines) <= 24
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Text 1" in lines[0]
    assert lines[1].startswith("│ Fog sat on the wheel like wet wool.")
    criteria, loop = lines.index("Criteria"), lines.index("The loop")
    assert lines[criteria + 1 : loop] == [
        "✓  At most 40 words",
        "6  A fog one can hear",
        "6  The pilot decides",
        "8  No feeling by name",
    ]
    rounds = lines[loop + 1 :]
    assert rounds[0] == "0 first draft  reward 0.616"
    edited = "for A fog one can hear, The pilot decides"
    assert rounds[1] == f"1 revision of 0  accepted  ΔR +0.065  reward 0.681  {edited}"
    assert rounds[2] == (
        "2 revision of 1  refused  ΔR +0.150  reward 0.830  because adds a violation: expected at "
        "most 40 wo…"
    )
    assert rounds[3] == (
        "3 revision of 1  refused  ΔR +0.124  reward 0.805  because The pilot decides falls from 6 "
        "to 4"
    )
    assert rounds[4] == (
        "1 revision accepted, 2 rolled back; reward 0.616 → 0.681; ended because 3 rounds are over"
    )
    assert rounds[5] == "0 lessons recalled, 2 learned"
    assert rounds[6] == "in full: --verbose, or quillgraph report run"
    assert "A fog one can hear “" not in done.stdout


def test_the_loop_is_told_in_full_where_it_is_asked_for_and_its_run_is_kept(
    quillgraph: Any,
) -> None:
    done = quillgraph(*words("--verbose"))
    assert done.status == 0, done.stderr
    for part in (
        "No lessons from earlier episodes.",
        "0 first draft",
        "1 revision of 0  accepted  ΔR +0.065",
        "2 revision of 1  refused  ΔR +0.150  (adds a violation: expected at most 40 words, got 44",
        "3 revision of 1  refused  ΔR +0.124  (The pilot decides falls from 6 to 4)",
        "The pilot decides: Let the bell cost him one act that cannot be taken back.",
        "✗ At most 40 words: expected at most 40 words, got 44",
        "   4  A fog one can hear “The fog was very thick and the pilot was very afraid.” [s1]",
        "No feeling by name (nothing cited)",
        "1 revision accepted, 2 rolled back; reward 0.616 → 0.681; ended because 3 rounds are over",
        "learned [l-",
    ):
        assert part in done.stdout
    assert "best so far" not in done.stdout
    assert {path.name for path in Path("run").iterdir()} == {
        "attempts.jsonl", "calls.jsonl", "criteria.json", "episode.json", "graph.mmd",
        "judgements.jsonl", "request.txt", "run.json", "text.txt",
    }  # fmt: skip
    assert read("run.json")["status"] == "done"
    # 4 texts, 8 votes, 3 reflections and the lessons
    assert read("run.json")["calls"] == len(read_records(Path("run", "calls.jsonl"))) == 16


def test_the_files_of_a_run_hold_the_same_values(quillgraph: Any) -> None:
    assert quillgraph(*words()).status == 0
    written = episode()
    assert Path("run", "text.txt").read_text(encoding="utf-8") == written.text + "\n"
    kept = Path("run", "criteria.json").read_text(encoding="utf-8")
    assert CriteriaSet.model_validate_json(kept) == written.criteria_set
    lines = Path("run", "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    assert tuple(map(Attempt.model_validate_json, lines)) == written.attempts
    lines = Path("run", "judgements.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Judgement.model_validate_json(line) for line in lines] == [
        attempt.judgement for attempt in written.attempts
    ]
    assert "graph TD" in Path("run", "graph.mmd").read_text(encoding="utf-8")


def test_the_episode_alone_tells_the_run_again(quillgraph: Any) -> None:
    assert quillgraph(*words()).status == 0
    Path("run", "episode.json").rename("alone.json")
    shutil.rmtree("run")
    written = WrittenEpisode.model_validate_json(Path("alone.json").read_text(encoding="utf-8"))
    first = best = written.attempts[0]
    for attempt in written.attempts:
        assert reward(attempt.judgement, written.criteria_set, attempt.text) == attempt.reward
        for verdict in attempt.judgement.verdicts:
            assert (verdict.quote or "") in attempt.text
        if attempt.number:
            reasons = refusals(
                written.criteria_set,
                (attempt.judgement, attempt.reward),
                (best.judgement, best.reward),
                (first.judgement, first.reward),
            )
            assert (attempt.reasons, attempt.decision == "accepted") == (reasons, not reasons)
            assert attempt.delta == (attempt.reward.value or 0) - (best.reward.value or 0)
            best = best if reasons else attempt
    assert written.best == best.number


def test_json_is_alone_on_stdout(quillgraph: Any) -> None:
    done = quillgraph(*words("--json"))
    printed = json.loads(done.stdout)
    assert set(printed) == {"run", "episode"}
    assert WrittenEpisode.model_validate(printed["episode"]) == episode()
    assert "run folder: run" in done.stderr


def test_criteria_for_another_request_are_noted_and_used(quillgraph: Any) -> None:
    done = quillgraph("write", "A scene with a horn in the fog.", *words("--no-memory")[3:])
    assert done.status == 0, done.stderr
    assert "note: these criteria were made for another request" in done.stderr
    assert "note:" not in quillgraph(*words("--out", "own")).stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "expected criteria as JSON in bad.json, got something else in line 1"),
        ("[]", "bad.json: "),
        ('{"version": 2}', "expected criteria of version 1 in bad.json, got version 2"),
        ({"genre": "poem"}, "do not have the hash they carry"),
        ({"sha256": "", "criteria": []}, "expected at least one criterion in bad.json, got none"),
        ({"mood": 1}, "mood: "),
        (None, "cannot read bad.json: No such file"),
    ],
)
def test_criteria_that_cannot_be_used_are_refused_in_a_line(
    change: str | dict[str, Any] | None, message: str, quillgraph: Any
) -> None:
    if isinstance(change, dict):
        changed = {**json.loads(CRITERIA.read_text(encoding="utf-8")), **change}
        Path("bad.json").write_text(json.dumps(changed), encoding="utf-8")
    elif change is not None:
        Path("bad.json").write_text(change, encoding="utf-8")
    done = quillgraph(*words("--criteria", "bad.json"))
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.error
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"levels": {"1-2": "Nothing."}}, "levels 1-2, 3-4, 5-6, 7-8, 9-10 of criterion k1.1"),
        (1, {"id": "k2.1"}, "got k2.1 twice"),
    ],
)
def test_an_edited_set_that_no_judge_can_work_with_is_refused(
    place: int, change: dict[str, Any], message: str, quillgraph: Any
) -> None:
    data = json.loads(CRITERIA.read_text(encoding="utf-8"))
    data["sha256"] = ""
    data["criteria"][place] |= change
    Path("edited.json").write_text(json.dumps(data), encoding="utf-8")
    done = quillgraph(*words("--criteria", "edited.json"))
    assert (done.status, done.stdout) == (2, "")
    assert message in done.error


def test_a_set_that_was_edited_and_vouched_for_has_a_hash_of_its_own(quillgraph: Any) -> None:
    data = json.loads(CRITERIA.read_text(encoding="utf-8"))
    before = data.pop("sha256")
    data["criteria"][0] |= {"name": "At most 44 words", "check": {"type": "word_count", "max": 44}}
    Path("edited.json").write_text(json.dumps(data), encoding="utf-8")
    assert quillgraph(*words("--criteria", "edited.json")).status == 0
    assert read("criteria.json")["sha256"] != before
    # 44 words are no violation any more, and the two essentials rise
    assert [a.decision for a in episode().attempts][:3] == ["first", "accepted", "accepted"]


# memory


def test_the_second_run_shows_the_lessons_of_the_first(quillgraph: Any) -> None:
    assert quillgraph(*words()).status == 0
    learned = {lesson.id for lesson in episode().learned}
    done = quillgraph(*words("--out", "second", "--verbose"))
    assert "Lessons recalled:\n[l-" in done.stdout
    assert {lesson.id for lesson in episode("second").lessons} == learned
    listed = json.loads(quillgraph("memory", "list", "--json").stdout)
    assert {lesson["id"] for lesson in listed["lessons"]} == learned
    assert len(listed["entries"]) == 8


def test_without_memory_nothing_is_recalled_and_no_file_is_made(quillgraph: Any) -> None:
    assert quillgraph(*words("--no-memory")).status == 0
    assert not Path(os.environ["QUILLGRAPH_MEMORY"]).exists()
    assert (episode().lessons, episode().learned) == ((), ())


@pytest.mark.parametrize("value", ["~/kept.sqlite", "kept.sqlite"])
def test_the_variable_means_the_same_file_to_every_command(
    value: str, quillgraph: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QUILLGRAPH_MEMORY")
    monkeypatch.setenv("quillgraph_memory" if value[0] != "~" else "QUILLGRAPH_MEMORY", value)
    assert quillgraph(*words()).status == 0
    assert (tmp_path / "kept.sqlite").exists()
    assert "When a sound carries the scene" in quillgraph("memory", "list").stdout


def test_a_memory_that_cannot_be_opened_ends_the_run_before_it_writes(quillgraph: Any) -> None:
    Path("file").touch()
    done = quillgraph(*words("--memory", "file/memory.sqlite"))
    assert (done.status, done.stdout) == (1, "")
    assert "cannot open the memory file file/memory.sqlite" in done.error


# budgets, failures, signals


@pytest.mark.parametrize(("calls", "best", "texts"), [(1, 0, 1), (4, 0, 1), (8, 1, 2), (12, 1, 3)])
def test_a_budget_in_mid_loop_shows_and_keeps_the_best_text_so_far(
    calls: int, best: int, texts: int, quillgraph: Any
) -> None:
    done = quillgraph(*words("--max-calls", calls))
    assert done.status == 4
    assert done.error == (
        f"quillgraph: the budget of {calls} calls is spent; raise --max-calls; "
        "the best text so far is kept"
    )
    written = episode()
    assert (written.is_complete, written.best, len(written.attempts)) == (False, best, texts)
    assert f"Text {best}, the best so far: the run ended early" in done.stdout
    assert Path("run", "text.txt").read_text(encoding="utf-8") == written.text + "\n"
    assert read("run.json")["status"] == "budget reached"


def test_a_budget_that_pays_for_no_text_has_none_to_show(quillgraph: Any, spec: str) -> None:
    done = quillgraph("write", "A haiku", "--backend", spec, "--out", "run", "--max-calls", 3)
    assert (done.status, done.stdout) == (4, "")
    assert not Path("run", "text.txt").exists()


def test_a_server_that_fails_in_mid_loop_leaves_the_text_before_kept_and_shown(
    quillgraph: Any,
) -> None:
    nobody = "reflector=openai:m@http://127.0.0.1:9/v1?max_retries=0"
    done = quillgraph(*words("--json", "--role", nobody))
    assert done.status == 3
    assert "cannot reach http://127.0.0.1:9/v1" in done.error
    written = WrittenEpisode.model_validate(json.loads(done.stdout)["episode"])
    assert (written.is_complete, len(written.attempts)) == (False, 1)
    assert written == episode()
    assert read("run.json")["status"] == "failed"
    assert "reached: 1 text, kept in run" in done.stderr


def test_a_judge_that_never_answers_leaves_the_first_draft_without_a_reward(
    quillgraph: Any,
) -> None:
    script = script_with({"when": r"\AYou judge", "reply": "Hm."})
    done = quillgraph(*words("--verbose", script=script))
    assert done.status == 0
    assert "no reward: no verdict on 3 criteria" in done.stdout
    assert "ended because no reward: no verdict on k1.1, k2.1, k1.pitfall1" in done.stdout
    assert "2 replies or items dropped" in done.stdout


def test_roles_may_have_models_of_their_own(quillgraph: Any) -> None:
    script = script_with({"when": r"\AYou keep the lessons", "reply": '{"items": []}'})
    done = quillgraph(*words("--role", f"consolidator=scripted:{script}"))
    assert done.status == 0
    assert episode().learned == ()
    assert read("run.json")["settings"]["roles"] == {"consolidator": f"scripted:{script}"}
    done = quillgraph(*words("--role", "jugde=scripted:x", "--out", "other"))
    assert (done.status, done.stdout) == (2, "")
    assert "unknown role 'jugde': did you mean 'judge'?" in done.error


SLOW = """
import asyncio, sys
from pathlib import Path
from quillgraph.backends import spec as config
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.cli.main import main

class Slow(ScriptedChat):
    answered: int = 0

    async def _complete(self, request):
        self.answered += 1
        if self.answered > CALLS:
            Path("waiting").touch()
            await asyncio.sleep(600)
        return await super()._complete(request)

    async def aclose(self):
        await asyncio.sleep(LINGER)

sys.modules["slow"] = sys.modules["__main__"]
config.BUILT_IN["scripted"] = "slow:Slow"
main()
"""


def started(calls: int, *more: object, linger: float = 0) -> subprocess.Popen[str]:
    """A run that has had so many replies and waits for the next."""
    program = SLOW.replace("CALLS", str(calls)).replace("LINGER", str(linger))
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", program, *words(*more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not Path("waiting").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    return run


@pytest.mark.parametrize(("calls", "texts"), [(0, 0), (3, 1), (8, 2)])
def test_ctrl_c_keeps_and_shows_what_is_done(calls: int, texts: int) -> None:
    run = started(calls)
    run.send_signal(signal.SIGINT)
    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 1, stderr
    assert "stopping … (Ctrl-C again stops at once)" in stderr
    assert stderr.splitlines()[-1] == "quillgraph: interrupted"
    assert "Traceback" not in stderr
    assert read("run.json")["status"] == "interrupted"
    assert Path("run", "episode.json").exists() == bool(texts)
    if texts:
        assert len(episode().attempts) == texts
        assert episode().stopped == "the run ended before the loop did"
        assert Path("run", "text.txt").read_text(encoding="utf-8").strip() == episode().text
        assert "the best so far" in stdout


def test_ctrl_c_again_stops_at_once_though_an_engine_is_slow_to_close() -> None:
    run = started(3, linger=600)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    while "stopping …" not in (line := run.stderr.readline()):
        assert line, run.communicate()
    run.send_signal(signal.SIGINT)
    try:
        _, stderr = run.communicate(timeout=30)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 1
    assert stderr.splitlines()[-1] == "quillgraph: interrupted"
    assert len(episode().attempts) == 1


def test_time_that_runs_out_in_mid_loop_keeps_and_shows_the_best_text_so_far() -> None:
    run = started(8, "--timeout", 4)
    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 4, stderr
    over = "the 4 s of the run are over; raise --timeout"
    assert stderr.splitlines()[-1] == f"quillgraph: {over}; the best text so far is kept"
    assert "Text 1, the best so far" in stdout
    assert (episode().best, episode().is_complete) == (1, False)
