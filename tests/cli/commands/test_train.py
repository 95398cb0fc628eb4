"""`quillgraph train` as its user sees it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

# whoever imports them first gets their own warnings, which are errors here
pytestmark = pytest.mark.usefixtures("training_libraries")

EXAMPLE = Path(__file__).parents[3] / "examples" / "train" / "cpu.yaml"

LEAST: dict[str, Any] = {
    "model": {"name": "smollm2-135m"},
    "data": {"prompts": str(EXAMPLE.parent / "prompts.jsonl")},
    "criteria": {"study": "hard"},
    "rl": {},
}


def written(folder: Path, **changes: Any) -> str:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({**LEAST, **changes}))
    return str(file)


def test_an_unknown_option_is_refused_with_the_nearest_name(
    quillgraph: Any, tmp_path: Path
) -> None:
    done = quillgraph("train", written(tmp_path, evaluations={}))
    assert done.status == 2
    assert "unknown option 'evaluations': did you mean 'evaluation'?" in done.error
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_to_go_on_has_to_be_named(quillgraph: Any, tmp_path: Path) -> None:
    done = quillgraph("train", written(tmp_path), "--resume")
    assert done.status == 2
    assert "expected the folder of the run to resume" in done.error


def test_a_folder_without_a_run_cannot_go_on(quillgraph: Any, tmp_path: Path) -> None:
    done = quillgraph("train", written(tmp_path), "--resume", "--out", str(tmp_path))
    assert done.status == 2
    assert "has no readable run.json" in done.error


def test_requests_that_are_not_there_end_the_run_and_its_folder_says_so(
    quillgraph: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = quillgraph(
        "train", written(tmp_path, data={"prompts": "absent.jsonl"}), "--out", str(out)
    )
    assert done.status == 2
    assert "cannot read" in done.error
    run = json.loads((out / "run.json").read_text())
    assert (run["status"], "absent.jsonl" in run["error"]) == ("failed", True)


@pytest.mark.model
@pytest.mark.usefixtures("smollm2_folder")
def test_a_dry_run_of_the_example_checks_everything_and_trains_nothing(
    quillgraph: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = quillgraph("train", str(EXAMPLE), "--dry-run", "--json", "--out", str(out))
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout) == {"run": str(out), "trained": False}
    assert "nothing was trained" in done.stderr
    assert json.loads((out / "run.json").read_text())["status"] == "checked"
    # the criteria of all requests were found, and are the run's record
    requests = (EXAMPLE.parent / "prompts.jsonl").read_text().splitlines()
    assert len(list((out / "criteria").glob("*.json"))) == len(requests)
    assert not (out / "checkpoints").exists()
