"""What episodes give to imitate."""

import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import Judgement, Reward, Verdict, Violation, text_hash
from quillgraph.agents.requests import writing_task
from quillgraph.agents.writers import Plan, Reflection
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Attempt, WrittenEpisode
from quillgraph.rl.config.episodes import Success, load_episodes, preferences, successes, targets

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
DRAFT = "The ferry waits. It is very foggy."
BETTER = "The ferry waits. Fog sits on the wheel like wet wool."
PLAN = Plan(
    edits=(
        Reflection(
            criterion_id="h1", criterion="Length", quote=None, cause="too long", fix="cut it"
        ),
        Reflection(
            criterion_id="k1.1", criterion="Image", quote="It is very foggy.",
            cause="The fog is named and not seen.", fix="Let it lie on something.",
        ),
    ),
    keep=(),
)  # fmt: skip


def attempt(number: int, text: str, value: float | None, **fields: Any) -> Attempt:
    verdict = Verdict(criterion_id="k1.1", score=4, votes=(4,), reason="named only")
    return Attempt(
        number=number,
        text=text,
        judgement=Judgement(
            criteria_sha=CRITERIA.sha256,
            text_sha=text_hash(text),
            judge="j",
            verdicts=(verdict,),
            violations=(Violation(criterion_id="h1", reason="too long"),),
        ),
        reward=Reward(value=value, soft=value, length=None, repetition=1.0),
        **{"parent": None, "decision": "drawn", **fields},
    )


def lived(*attempts: Attempt, best: int, request: str = TASK.request) -> WrittenEpisode:
    return WrittenEpisode(
        task=writing_task(request), criteria_set=CRITERIA, attempts=attempts, best=best,
        stopped="done", is_complete=True,
    )  # fmt: skip


def revised(before: float | None = 0.3, after: float | None = 0.6, **fields: Any) -> WrittenEpisode:
    return lived(
        attempt(0, DRAFT, before, decision="first"),
        attempt(1, BETTER, after, parent=0, decision="accepted", plan=PLAN),
        best=1,
        **fields,
    )


def test_an_accepted_revision_gives_a_target_of_each_kind() -> None:
    write, revise, criticise = targets(
        successes([revised()], 1.0), prompt="request", mix=(0.4, 0.3, 0.3), seed=0
    )
    assert (write.kind, revise.kind, criticise.kind) == ("write", "revise", "criticise")
    assert write.prompt == ({"role": "user", "content": TASK.request},)
    assert write.completion == revise.completion == BETTER
    assert [write.reward, write.delta] == pytest.approx([0.6, 0.3])
    prompt = revise.prompt[-1]["content"]
    assert DRAFT in prompt
    assert "The fog is named and not seen." in prompt
    # what code found needs no reflection, so the critique holds the other edit alone
    assert json.loads(criticise.completion) == {
        "items": [
            {
                "criterion": "q1",
                "sentence": "s2",
                "cause": "The fog is named and not seen.",
                "fix": "Let it lie on something.",
            }
        ]
    }
    assert "s2: It is very foggy." in criticise.prompt[-1]["content"]


@pytest.mark.parametrize(
    "episode",
    [
        revised(0.6, 0.6),
        revised(0.6, 0.5),
        revised(None, 0.5),
        revised(0.5, None),
        lived(attempt(0, DRAFT, 0.9, decision="first"), best=0),
        lived(attempt(0, DRAFT, 0.4), attempt(1, BETTER, 0.4), best=0),
    ],
)
def test_what_did_not_become_better_is_no_target(episode: WrittenEpisode) -> None:
    assert Success.of(episode) is None


def test_the_best_of_several_drafts_is_measured_by_their_mean() -> None:
    success = Success.of(
        lived(attempt(0, DRAFT, 0.2), attempt(1, BETTER, 0.8), attempt(2, "x", None), best=1)
    )
    assert success is not None
    # the mean of .2 and .8; the third has no reward and is in no mean
    assert success.delta == pytest.approx(0.3)


def test_the_better_half_is_imitated() -> None:
    episodes = [revised(0.1, value) for value in (0.5, 0.9, 0.2, 0.7)]
    assert [each.reward for each in successes(episodes, 0.5)] == [0.9, 0.7]


def test_one_success_is_not_halved_away_and_none_is_none() -> None:
    assert len(successes([revised()], 0.5)) == 1
    assert successes([revised(0.6, 0.6)], 0.5) == ()


def test_no_kind_gets_more_than_its_share() -> None:
    chosen = targets(
        successes([revised() for _ in range(70)], 1.0),
        prompt="writer",
        mix=(0.7, 0.2, 0.1),
        seed=1,
    )
    counts = [sum(t.kind == kind for t in chosen) for kind in ("write", "revise", "criticise")]
    assert counts == [70, 20, 10]


def test_the_writers_prompt_is_the_one_of_the_loop() -> None:
    (first, *_) = targets(successes([revised()], 1), prompt="writer", mix=(1, 0, 0), seed=0)
    assert [turn["role"] for turn in first.prompt] == ["system", "user"]
    assert f"<request>\n{TASK.request}\n</request>" in first.prompt[1]["content"]


def test_a_row_keeps_the_prompt_apart_so_that_none_of_it_is_learned() -> None:
    (first, *_) = targets(successes([revised()], 1), prompt="request", mix=(1, 0, 0), seed=0)
    assert first.row() == {
        "prompt": [{"role": "user", "content": TASK.request}],
        "completion": [{"role": "assistant", "content": BETTER}],
    }


def test_preferences_set_the_better_text_above_the_worse_one() -> None:
    refused = lived(
        attempt(0, BETTER, 0.6, decision="first"),
        attempt(1, DRAFT, 0.3, parent=0, decision="refused", plan=PLAN),
        best=0,
    )
    drawn = lived(attempt(0, "a", 0.2), attempt(1, "b", 0.9), attempt(2, "c", 0.4), best=1)
    pairs = preferences([revised(), refused, drawn, revised(0.5, 0.5)], prompt="request")
    texts = [(pair.chosen[0]["content"], pair.rejected[0]["content"]) for pair in pairs]
    assert texts == [(BETTER, DRAFT), (BETTER, DRAFT), ("b", "a")]
    assert all(pair.chosen_reward > pair.rejected_reward for pair in pairs)


def test_episodes_are_read_from_files_folders_and_lines(tmp_path: Path) -> None:
    one = revised()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "episode.json").write_text(one.model_dump_json(indent=1))
    lines = tmp_path / "two.jsonl"
    request = one.task.request
    parted = one.model_dump_json().replace(request, f"{request}\u2028And so on.")
    other = WrittenEpisode.model_validate_json(parted)
    lines.write_bytes(f"{parted}\r\n\n{parted}\n".encode("utf-8-sig"))
    assert load_episodes([tmp_path, tmp_path / "run" / "episode.json", lines]) == (
        one,
        one,
        other,
        other,
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.json", None, "cannot read .*absent.json: No such file"),
        ("bad.json", '{"task": 3}', "expected an episode in .*bad.json, but 'task'"),
        ("not.json", "nothing", "expected an episode"),
    ],
)
def test_a_file_without_episodes_is_refused(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_episodes([tmp_path / name])


def test_a_folder_without_episodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        load_episodes([tmp_path])


@pytest.mark.parametrize(
    "kept", [f"<think>plan</think>{BETTER}", f"Here is the story:\n\n{BETTER}", "<think>plan"]
)
def test_a_text_that_an_earlier_build_kept_with_its_thinking_is_not_imitated(kept: str) -> None:
    episode = lived(
        attempt(0, DRAFT, 0.3, decision="first"),
        attempt(1, kept, 0.6, parent=0, decision="accepted", plan=PLAN),
        best=1,
    )
    assert successes([episode, revised()], 1.0)[0].attempt.text == BETTER
    assert len(successes([episode, revised()], 1.0)) == 1
    assert preferences([episode], prompt="request") == ()
