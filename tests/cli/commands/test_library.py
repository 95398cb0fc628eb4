"""The command `quillgraph library`, and runs that use a library."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.graphs.memory import Library, Passed

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
STUDY = ("--backend", f"scripted:{SCRIPTS / 'lighthouse.yaml'}", "--seed", 7)
NOW = datetime.now(UTC).isoformat()  # else the runs here would find them old
SEA = WritingTask(request="Write a poem about the sea.", language="en", genre="poem")
SALT = "Sa\x1blt"
TALE = WritingTask(request="Write a tale.", language="en", genre="story")


def criterion(name: str) -> Criterion:
    return Criterion(
        id=name, name=name, description="It is so.", kind="soft", tier="essential", weight=1.0,
        levels={"1-2": "not so"}, category_id="k1", evidence=("i1",),
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "library.sqlite"


async def _fill(file: Path) -> dict[str, str]:
    async with Library.open(file, LexicalEmbeddings()) as library:
        poems = [Passed(criterion(SALT), None), Passed(criterion("Calm"), None)]
        ids = dict((await library.keep(poems, SEA, NOW)).ids)
        ids |= (await library.keep([Passed(criterion("Gull"), None)], TALE, NOW)).ids
        for _ in range(5):
            await library.credit({ids["Calm"]: (9, 10), ids["Gull"]: (1, 10)}, NOW)
    return ids


@pytest.fixture
def ids(file: Path) -> dict[str, str]:
    return asyncio.run(_fill(file))


def test_criteria_are_listed_a_line_each_and_what_is_retired_says_why(
    ids: dict[str, str], file: Path, quillgraph: Any
) -> None:
    done = quillgraph("library", "list", "--path", file, env={"COLUMNS": "40"})
    assert (done.status, done.stderr) == (0, "")
    # 9 and 10 are 8/9 and 1: deviation 1/18; 1 and 10: .5
    assert done.stdout.splitlines() == [
        f"{ids['Calm']}  Calm: It is so.  [poem; en; uses 1; 5 groups: spread 0.056, saturated "
        "100%]  saturated: every text was at the top in all of 5 groups",
        f"{ids[SALT]}  Sa␛lt: It is so.  [poem; en; uses 1; not judged yet]",
        f"{ids['Gull']}  Gull: It is so.  [story; en; uses 1; 5 groups: spread 0.500, saturated "
        "0%]",
    ]


def test_a_list_may_be_of_one_genre_and_for_a_machine(
    ids: dict[str, str], file: Path, quillgraph: Any
) -> None:
    listed = quillgraph("library", "list", "--path", file, "--genre", "story", "--json")
    assert [each["id"] for each in json.loads(listed.stdout)] == [ids["Gull"]]
    done = quillgraph("library", "list", "--path", file, "--genre", "pome")
    assert (done.status, done.stdout) == (2, "")
    assert "expected a genre that the library has, got 'pome': did you mean 'poem'?" in done.error


def test_one_criterion_is_shown_with_its_measures(
    ids: dict[str, str], file: Path, quillgraph: Any
) -> None:
    lines = quillgraph("library", "show", ids["Gull"], "--path", file).stdout.splitlines()
    fields = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in lines}
    assert (fields["uses"], fields["discrimination"], fields["saturation"]) == ("1", "0.5", "0.0")
    assert fields["levels"] == "1-2: not so"
    raw = json.loads(quillgraph("library", "show", ids["Gull"], "--path", file, "--json").stdout)
    assert (raw["name"], raw["groups"]) == ("Gull", 5)


def test_what_is_forgotten_is_gone_and_an_unknown_id_is_told(
    ids: dict[str, str], file: Path, quillgraph: Any
) -> None:
    done = quillgraph("library", "forget", ids["Gull"], "--path", file)
    assert (done.status, done.stdout) == (0, f"forgot {ids['Gull']}\n")
    for command in ("show", "forget"):
        done = quillgraph("library", command, ids["Gull"], "--path", file)
        assert (done.status, done.stdout) == (2, "")
        assert f"expected the id of a criterion, got '{ids['Gull']}'" in done.error


def test_everything_is_exported(ids: dict[str, str], file: Path, quillgraph: Any) -> None:
    printed = json.loads(quillgraph("library", "export", "--path", file).stdout)
    assert {each["id"] for each in printed["criteria"]} == set(ids.values())
    done = quillgraph("library", "export", "out.json", "--path", file, "--genre", "poem")
    assert (done.status, done.stdout) == (0, "out.json: 2 criteria\n")
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["embeddings"] == "lexical"


def test_looking_at_a_library_that_is_not_there_makes_none(file: Path, quillgraph: Any) -> None:
    assert quillgraph("library", "list").stdout == "no criteria are kept yet\n"
    assert quillgraph("library", "list", "--json").stdout == "[]\n"
    done = quillgraph("library", "export", "--path", file)
    assert (done.status, done.stdout) == (2, "")
    assert f"expected a library file, but there is none at {file}" in done.error
    assert not file.exists()
    assert not (file.parent / "data").exists()


@pytest.mark.usefixtures("ids")
def test_a_run_compares_with_a_library_and_adds_to_it(file: Path, quillgraph: Any) -> None:
    request = SCRIPTS / "lighthouse.txt"
    runs = [
        quillgraph("criteria", "--file", request, *STUDY, "--library", file, "--json")
        for _ in range(2)
    ]
    assert [run.status for run in runs] == [0, 0]
    one, two = (json.loads(run.stdout)["criteria_set"] for run in runs)
    assert one["sha256"] == two["sha256"]
    # two changes of keeping and five of crediting came before
    assert one["stats"]["library"]["version"].startswith("7-")
    assert len(one["stats"]["library"]["suggested"]) == 2
    assert two["stats"]["library"]["version"].startswith("8-")
    done = quillgraph("criteria", "--file", request, *STUDY, "--library", file)
    assert ": 2 suggestions to compare with; 0 of 4 criteria known from" in done.stderr
    assert len(json.loads(quillgraph("library", "list", "--path", file, "--json").stdout)) == 7


def test_no_run_uses_a_library_unless_it_is_told_to(
    file: Path, quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SCRIPTS / "lighthouse.txt"
    words = ("criteria", "--file", request, *STUDY, "--json")
    stats = json.loads(quillgraph(*words).stdout)["criteria_set"]["stats"]
    assert "library" not in stats
    assert not (file.parent / "data").exists()
    own = json.loads(quillgraph(*words, "--library", "own").stdout)["criteria_set"]["stats"]
    assert own["library"]["version"] == "0"
    assert (file.parent / "data" / "quillgraph" / "library.sqlite").exists()
    monkeypatch.setenv("QUILLGRAPH_LIBRARY", str(file))
    stats = json.loads(quillgraph(*words, "--no-library").stdout)["criteria_set"]["stats"]
    assert "library" not in stats
    assert not file.exists()
    assert quillgraph(*words).status == 0
    assert len(json.loads(quillgraph("library", "list", "--json").stdout)) == 4


def test_a_library_of_other_embeddings_is_refused_before_the_study(
    file: Path, quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Others(LexicalEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [row[::-1] for row in super().embed_documents(texts)]

    async def begin() -> None:
        async with Library.open(file, Others()) as library:
            await library.ready()

    asyncio.run(begin())
    request = SCRIPTS / "lighthouse.txt"
    done = quillgraph("criteria", "--file", request, *STUDY, "--library", file)
    assert (done.status, done.stdout) == (2, "")
    assert "name those, or begin another library file" in done.error
    assert "sampling" not in done.stderr


def test_an_episode_tells_the_library_how_its_texts_were_scored(
    spec: str, file: Path, quillgraph: Any
) -> None:
    done = quillgraph(
        "write", "Write a story about a gull.", "--backend", spec, "--library", file,
        "--rounds", 1, "--drafts", 2, "--json",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    episode = json.loads(done.stdout)["episode"]
    ids = episode["criteria_set"]["stats"]["library"]["ids"]
    known = json.loads(quillgraph("library", "list", "--path", file, "--json").stdout)
    groups = {each["id"]: each["groups"] for each in known}
    for criterion_id, canonical in ids.items():
        judged = [
            verdict
            for attempt in episode["attempts"]
            for verdict in attempt["judgement"]["verdicts"]
            if verdict["criterion_id"] == criterion_id
        ]
        assert groups[canonical] >= (len(judged) > 1)
    assert any(groups.values())
