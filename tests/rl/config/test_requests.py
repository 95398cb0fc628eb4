"""The requests of a run and their criteria."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.requests import writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs import cast
from quillgraph.graphs.study import Study
from quillgraph.rl.config.criteria import find_sets, hard_set
from quillgraph.rl.config.requests import check_lengths, prompt_of, read_requests

EXAMPLES = Path(__file__).parents[3] / "examples" / "train"
TASK = writing_task("Write a story in exactly six words about a lost key.")


def written(folder: Path, *rows: Any) -> Path:
    file = folder / "prompts.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return file


def test_the_split_is_by_request(tmp_path: Path) -> None:
    requests = read_requests(
        written(tmp_path, {"request": "A"}, "", {"request": "B", "split": "held_out"})
    )
    assert [task.request for task in requests.train] == ["A"]
    assert [task.request for task in requests.held_out] == ["B"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "A"}], "line 1: expected JSON like .* but 'request': field required"),
        ([{"request": "A", "gold": 1}], "'gold': extra inputs"),
        ([{"request": "A", "split": "test"}], "'split'"),
        ([{"request": "A"}, "A haiku"], "line 2: expected JSON like .* got 'A haiku'"),
        ([{"request": "A"}, {"request": " A "}], "line 2: the request of line 1 again"),
        ([{"request": " "}], "expected a writing request"),
        ([{"request": "A", "split": "held_out"}], "none with split train"),
    ],
)
def test_a_file_that_cannot_be_worked_on_is_refused(
    tmp_path: Path, rows: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_requests(written(tmp_path, *rows))


def test_a_prompt_is_the_request_or_what_the_writer_of_the_loop_reads() -> None:
    assert prompt_of(TASK, "request") == [{"role": "user", "content": TASK.request}]
    system, user = prompt_of(TASK, "writer")
    assert system["content"].startswith("You are a writer.")
    assert TASK.request in user["content"]


def test_a_prompt_that_leaves_no_room_for_its_text_is_refused() -> None:
    other = writing_task("A longer request")
    check_lengths((TASK, other), [[1] * 10, [1] * 20], room=12, window=32)
    check_lengths((TASK, other), [[1] * 10, [1] * 20], room=12, window=None)
    with pytest.raises(ConfigError, match="'A longer request' has 20 tokens, and with 13"):
        check_lengths((TASK, other), [[1] * 10, [1] * 20], room=13, window=32)


def test_every_example_request_makes_a_demand_that_code_can_check() -> None:
    requests = read_requests(EXAMPLES / "prompts.jsonl")
    assert len(requests.held_out) >= 25
    assert all(hard_set(task).criteria for task in requests.all)
    trained = {word for task in requests.train for word in task.request.split('"')[1::2]}
    held_out = {word for task in requests.held_out for word in task.request.split('"')[1::2]}
    # the words that are demanded are others, so none of them can have been learned by heart
    assert len(held_out - trained) >= 20


def test_criteria_are_found_once_and_kept_for_the_run_and_for_others(tmp_path: Path) -> None:
    lines: list[str] = []

    def find(run: str) -> dict[str, CriteriaSet]:
        places = {"folder": tmp_path / run, "cache": tmp_path / "cache"}
        return asyncio.run(find_sets([TASK], study=None, tell=lines.append, **places))

    first, again = find("run"), find("other")
    assert first == again == {TASK.request_hash: hard_set(TASK)}
    assert lines == ["finding the criteria of 1 of 1 requests"]
    assert len(list((tmp_path / "other").glob("*.json"))) == 1


def test_damaged_criteria_are_not_taken_for_absent_ones(tmp_path: Path) -> None:
    asyncio.run(find_sets([TASK], study=None, folder=tmp_path))
    (file,) = tmp_path.glob("*.json")
    file.write_text(file.read_text().replace("6 words", "9 words"))
    with pytest.raises(InputError, match="edited by hand or damaged"):
        asyncio.run(find_sets([TASK], study=None, folder=tmp_path))


def test_a_whole_study_is_run_for_each_request_and_read_the_next_time(tmp_path: Path) -> None:
    scripts = EXAMPLES.parent / "scripts"
    task = writing_task((scripts / "lighthouse.txt").read_text(encoding="utf-8"))

    def find(script: ScriptedChat) -> CriteriaSet:
        study = cast(Study, script, embeddings=LexicalEmbeddings(), seed=7)
        return asyncio.run(find_sets([task], study=study, folder=tmp_path))[task.request_hash]

    first = find(ScriptedChat(path=scripts / "lighthouse.yaml"))
    assert {"hard", "soft"} <= {each.kind for each in first.criteria}
    # nobody is asked again
    assert find(ScriptedChat(reply=lambda _: "no JSON")) == first


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"request": " "}', "empty"),
        ('{"request": "a \\ud800 b"}', "half a character"),
        ('{"request": "a", "request": "b"}', "occurs twice"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_each_refusal_names_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"request": "A haiku on rain"}\n\n' + line, encoding="utf-8")

    with pytest.raises(InputError, match=f"prompts.jsonl, line 3: .*{reason}"):
        read_requests(file)
