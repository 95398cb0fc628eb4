"""A checkpoint in place is whole, and the ones before it survive what goes wrong."""

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quillgraph.backends.errors import PolicyError, StorageError
from quillgraph.rl.monitors.checkpoints import MANIFEST, Checkpoints, step_of
from quillgraph.rl.monitors.log import PromptCounts

pytestmark = pytest.mark.usefixtures("training_libraries")


class Words:
    """A part that holds a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, folder: Path) -> None:
        (folder / "words.txt").write_text(self.text)

    def load(self, folder: Path) -> None:
        self.text = (folder / "words.txt").read_text()


def checkpoints(folder: Path, part: Words, seed: int = 1, keep: int = 2) -> Checkpoints:
    facts = {"seed": seed, "criteria": {"r": "c"}}
    return Checkpoints(folder=folder, keep=keep, facts=facts, parts=[part, PromptCounts()])


def written(kept: Checkpoints, step: int, weights: str = "w") -> Path:
    """What TRL's trainer would have written."""
    folder = kept.scratch / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.bin").write_text(weights * step)
    return folder


def test_the_parts_come_back_as_they_were(tmp_path: Path) -> None:
    part = Words("before")
    kept = checkpoints(tmp_path, part)
    kept.seal(written(kept, 3), 3)
    part.text = "after"
    newest = kept.newest()
    assert newest is not None
    assert step_of(newest) == 3
    kept.restore(newest)
    assert part.text == "before"
    assert (newest / "deep" / "weights.bin").read_text() == "www"


def test_a_step_that_is_sealed_again_loses_nothing_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = checkpoints(tmp_path, Words("w"), keep=1)
    kept.seal(written(kept, 3), 3)
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if self.name == "checkpoint-3":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StorageError, match="earlier checkpoints are intact"):
        kept.seal(written(kept, 3, "v"), 3)
    newest = kept.newest()
    assert newest is not None
    assert (newest / "deep" / "weights.bin").read_text() == "www"
    newest.rename(tmp_path / ".aside-step-000003")  # as a kill in between leaves it
    assert kept.newest() == newest
    monkeypatch.undo()
    kept.seal(written(kept, 3, "v"), 3)
    assert [each.name for each in tmp_path.iterdir() if each.name != ".writing"] == [newest.name]
    assert (newest / "deep" / "weights.bin").read_text() == "vvv"


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    for step in (2, 4, 10, 12):
        kept.seal(written(kept, step), step)
    assert [step_of(each) for each in kept.whole()] == [10, 12]


@pytest.mark.parametrize("harm", ["cut", "removed", "no manifest", "half a manifest"])
def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path, harm: str) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    kept.seal(written(kept, 1), 1)
    broken = kept.seal(written(kept, 2), 2)
    match harm:
        case "cut":
            (broken / "deep" / "weights.bin").write_text("w")
        case "removed":
            (broken / "words.txt").unlink()
        case "no manifest":
            (broken / MANIFEST).unlink()
        case _:
            (broken / MANIFEST).write_text('{"version": 1, "files"')
    newest = kept.newest()
    assert newest is not None
    assert step_of(newest) == 1


def test_what_was_half_written_is_cleared_away_and_no_checkpoint(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    written(kept, 5)
    assert kept.newest() is None
    kept.clear_scratch()
    assert not kept.scratch.exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    kept.seal(written(kept, 1), 1)
    with pytest.raises(PolicyError, match="made with another seed: 1, and now it is 2"):
        checkpoints(tmp_path, Words("w"), seed=2).newest()


def test_changed_criteria_are_refused_since_the_memory_was_scored_under_the_old(
    tmp_path: Path,
) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    kept.seal(written(kept, 1), 1)
    other = Checkpoints(tmp_path, 2, {"seed": 1, "criteria": {"r": "d"}}, [])
    with pytest.raises(PolicyError, match="another criteria of r: 'c', and now it is 'd'"):
        other.newest()


ROOM = 2_000


@contextmanager
def no_room() -> Iterator[None]:
    """Files of this process may not grow beyond `ROOM` bytes: to it the disk is full.

    Not a fixture: the log that pytest writes between a test and its teardown is such a file.
    """
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_leaves_the_checkpoint_before_good(tmp_path: Path) -> None:
    part = Words("small")
    kept = checkpoints(tmp_path, part)
    kept.seal(written(kept, 1), 1)
    part.text = "x" * 2 * ROOM
    message = r"step 2 .* earlier checkpoints are intact: free disk space"
    with pytest.raises(StorageError, match=message), no_room():
        kept.seal(written(kept, 2), 2)
    assert not kept.scratch.exists()
    newest = kept.newest()
    assert newest is not None
    assert step_of(newest) == 1
    kept.restore(newest)
    assert part.text == "small"


def test_a_manifest_names_every_file_with_its_hash(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, Words("w"))
    sealed = kept.seal(written(kept, 1), 1)
    manifest = json.loads((sealed / MANIFEST).read_text())
    assert sorted(manifest["files"]) == ["deep/weights.bin", "ledger.json", "words.txt"]
