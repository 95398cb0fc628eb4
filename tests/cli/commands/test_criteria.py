"""`quillgraph criteria`, run to its end against a server that answers any schema."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from quillgraph.agents.domain import CriteriaSet, Draft
from quillgraph.backends.calls import read_records
from quillgraph.cli.main import app

REQUEST = "Write a story about a lighthouse keeper, in under 300 words, for children."
KEY = "sk-not-to-be-written-anywhere"


@dataclass(frozen=True)
class Run:
    stdout: str
    stderr: str
    folder: Path

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def arguments(spec: str, *more: object) -> list[str]:
    words = ("criteria", REQUEST, "--backend", spec, "--embeddings", "lexical", *more)
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def run(spec: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One finished run, for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    words = arguments(spec, "--drafts", 2, "--seed", 7, "--out", folder)
    done = CliRunner().invoke(app, words, env={"OPENAI_API_KEY": KEY})
    assert done.exit_code == 0, done.stderr
    return Run(done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def printed(spec: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of the same run with `--json`."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    words = arguments(spec, "--drafts", 2, "--seed", 7, "--out", folder, "--json")
    done = CliRunner().invoke(app, words)
    result: dict[str, Any] = json.loads(done.stdout)  # one object and nothing else
    return result


def test_a_run_folder_holds_what_led_to_the_criteria(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == {
        "calls.jsonl", "criteria.json", "criteria.md", "drafts.jsonl", "graph.mmd",
        "provenance.graphml", "provenance.json", "provenance.mmd", "request.txt", "run.json",
        "study.json",
    }  # fmt: skip


def test_run_json_says_what_ran_and_how_it_ended(run: Run, spec: str) -> None:
    facts = run.read("run.json")
    assert facts["status"] == "done"
    assert facts["settings"]["backend"] == spec
    assert (facts["settings"]["seed"], facts["settings"]["drafts"]) == (7, 2)
    assert {"quillgraph", "langgraph", "openai"} <= set(facts["versions"])
    assert facts["started"] <= facts["finished"]
    assert (facts["calls"], facts["failed_calls"]) == (
        len(read_records(run.folder / "calls.jsonl")),
        0,
    )
    # the server counts 10 tokens for every prompt and 5 for every reply
    assert facts["prompt_tokens"] == 10 * facts["calls"]
    assert facts["completion_tokens"] == 5 * facts["calls"]
    # and gives no ids of them
    assert facts["continuity"] == {"clean": 0, "fork": 0, "missing": facts["calls"]}
    assert f"{facts['calls']} calls, of which {facts['calls']} came without token ids" in run.stderr


def test_the_key_is_in_no_file_and_on_no_stream(run: Run) -> None:
    for path in run.folder.iterdir():
        assert KEY not in path.read_text(encoding="utf-8"), path.name
    assert KEY not in run.stdout + run.stderr


def test_the_criteria_load_back_with_the_same_hash(run: Run) -> None:
    text = (run.folder / "criteria.json").read_text(encoding="utf-8")
    loaded = CriteriaSet.model_validate_json(text)
    assert loaded.sha256 == json.loads(text)["sha256"]
    # the hash is made of the content, so it is found again without being told
    assert CriteriaSet(**loaded.model_dump(exclude={"sha256"})).sha256 == loaded.sha256
    assert loaded.sha256 in (run.folder / "criteria.md").read_text(encoding="utf-8")


def test_drafts_and_request_are_kept_as_they_were(run: Run) -> None:
    lines = (run.folder / "drafts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Draft.model_validate_json(line).id for line in lines] == ["d1", "d2"]
    assert (run.folder / "request.txt").read_text(encoding="utf-8") == REQUEST


def test_the_drawings_are_mermaid(run: Run) -> None:
    graph = (run.folder / "graph.mmd").read_text(encoding="utf-8")
    assert "graph TD" in graph
    assert "criteria_writing" in graph
    assert (run.folder / "provenance.mmd").read_text(encoding="utf-8").startswith("flowchart LR")


def test_every_criterion_is_traced_back_to_words_of_the_request_or_a_draft(run: Run) -> None:
    trace = run.read("provenance.json")
    spans = {node["id"]: node for node in trace["nodes"] if node["kind"] == "span"}
    kinds = {node["id"]: node["kind"] for node in trace["nodes"]}
    above: dict[str, list[str]] = {}
    for edge in trace["edges"]:
        above.setdefault(edge["target"], []).append(edge["source"])
    for criterion in (node for node, kind in kinds.items() if kind == "criterion"):
        reached, open_ones = set(), [criterion]
        while open_ones:
            node = open_ones.pop()
            reached.add(node)
            open_ones += [each for each in above.get(node, []) if each not in reached]
        assert reached & set(spans), criterion
    for span in spans.values():
        if span["doc"] == "request":
            assert REQUEST[span["start"] : span["end"]] == span["text"]


def test_the_tree_is_on_stdout_with_the_words_behind_each_criterion(run: Run) -> None:
    criteria = run.read("criteria.json")["criteria"]
    for criterion in criteria:
        assert criterion["name"] in run.stdout
    assert "“in under 300 words, for children.” [i2]" in run.stdout
    assert run.stdout.count("(core)") <= 1
    assert "run folder" not in run.stdout


def test_progress_summary_and_run_folder_are_on_stderr(run: Run) -> None:
    lines = run.stderr.splitlines()
    assert lines[0] == "starting the model …"
    (place,) = [n for n, line in enumerate(lines) if "criteria from" in line]
    assert lines[place - 2] == "freezing the criteria …"
    assert lines[place - 1].endswith("came without token ids: no rows for training")
    assert "; every clause of the request has a criterion; " in lines[place]
    assert lines[-1] == f"run folder: {run.folder}"


def test_json_holds_five_to_ten_criteria_with_names_of_their_own(printed: dict[str, Any]) -> None:
    criteria = printed["criteria_set"]["criteria"]
    assert 5 <= len(criteria) <= 10
    assert len({criterion["name"].casefold() for criterion in criteria}) == len(criteria)


def test_json_resolves_all_evidence_and_measures_the_study(printed: dict[str, Any]) -> None:
    cited = {i for c in printed["criteria_set"]["criteria"] for i in c["evidence"]}
    assert set(printed["evidence"]) == cited
    for incident in printed["evidence"].values():
        if incident["source"] == "request":
            start, end = incident["span"]
            assert REQUEST[start:end] == incident["text"]
    assert 0 <= printed["coverage"] <= 1
    assert [entry["round"] for entry in printed["saturation"]][:1] == [1]
    assert isinstance(printed["dropped"], dict)
    assert Path(printed["run"], "criteria.json").exists()


def test_an_equal_seed_repeats_the_hash(run: Run, printed: dict[str, Any]) -> None:
    assert printed["criteria_set"]["sha256"] == run.read("criteria.json")["sha256"]


def test_the_seed_reaches_every_call(run: Run, spec: str, quillgraph: Any, tmp_path: Path) -> None:
    quillgraph(*arguments(spec, "--drafts", 0, "--seed", 8, "--out", tmp_path / "run"))
    seven = [record.options["seed"] for record in read_records(run.folder / "calls.jsonl")]
    eight = [record.options["seed"] for record in read_records(tmp_path / "run" / "calls.jsonl")]
    assert not set(seven) & set(eight)


def test_a_role_may_have_a_backend_of_its_own(
    spec: str, quillgraph: Any, tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_data(status=500)
    broken = f"openai:other@{httpserver.url_for('/v1')}?max_retries=0"
    done = quillgraph(
        *arguments(spec, "--drafts", 0, "--role", f"selective_coder={broken}", "--out", "run")
    )
    assert done.status == 3
    records = read_records(tmp_path / "run" / "calls.jsonl")
    assert {record.role for record in records if record.error} == {"selective_coder"}
    assert {record.model for record in records if not record.error} == {"m"}


def test_a_request_may_come_from_a_file(spec: str, quillgraph: Any, tmp_path: Path) -> None:
    file = tmp_path / "request.txt"
    file.write_text("\ufeff请写一首关于雨的诗。\n", encoding="utf-8")
    words = ["--file", file, "--backend", spec, "--drafts", 0, "--out", "run", "--json"]
    done = quillgraph("criteria", *words)
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["criteria_set"]["language"] == "zh"
    # the byte-order mark is no part of what was asked
    kept = (tmp_path / "run" / "request.txt").read_text(encoding="utf-8")
    assert kept == "请写一首关于雨的诗。"


def test_settings_may_come_from_a_file(spec: str, quillgraph: Any, tmp_path: Path) -> None:
    settings = {"backend": spec, "drafts": 0, "seed": 3, "out": "kept"}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert quillgraph("criteria", REQUEST, "--config", "settings.yaml", "--seed", 4).status == 0
    facts = json.loads((tmp_path / "kept" / "run.json").read_text(encoding="utf-8"))
    assert (facts["settings"]["drafts"], facts["settings"]["seed"]) == (0, 4)


def test_a_run_without_out_makes_a_folder_named_after_the_request(
    spec: str, quillgraph: Any, tmp_path: Path
) -> None:
    assert quillgraph(*arguments(spec, "--drafts", 0)).status == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-write-a-story-about-a-lighthouse")


def test_a_server_that_counts_no_tokens_is_reported_once_on_stderr(
    quillgraph: Any, answer: Callable[[Request], Response]
) -> None:
    def without_usage(request: Request) -> Response:
        body = json.loads(answer(request).get_data(as_text=True))
        return Response(json.dumps({"choices": body["choices"]}), content_type="application/json")

    # at an address of its own: a process says it once of each
    with HTTPServer() as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(without_usage)
        address = server.url_for("/v1")
        done = quillgraph(*arguments(f"openai:m@{address}", "--drafts", 0, "--out", "[run]"))
    assert done.status == 0
    assert (
        done.stderr.count(
            f"{address} reports no usage, or a part of it: the tokens of its calls are unknown"
        )
        == 1
    )
    # what stands in brackets is part of the name, and no style
    assert done.error == "run folder: [run]"


def test_a_short_title_is_english_and_its_drafts_are_kept(
    spec: str, tmp_path: Path, quillgraph: Any
) -> None:
    words = arguments(spec, "--drafts", 2, "--out", tmp_path / "run")
    done = quillgraph(*("Ode to autumn" if word == REQUEST else word for word in words))
    assert done.status == 0, done.stderr
    criteria_set = CriteriaSet.model_validate_json((tmp_path / "run/criteria.json").read_text())
    assert criteria_set.language == "en"
    assert len((tmp_path / "run/drafts.jsonl").read_text("utf-8").splitlines()) == 2
    assert "written in" not in (tmp_path / "run/calls.jsonl").read_text("utf-8")
