import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.evals.report.contents import WHOLE, read_contents
from quillgraph.evals.report.page import render_page, write_page

HOSTILE = (
    '<script>document.title="owned"</script></textarea></div><!-- </style>'
    "<img src=http://127.0.0.1:9/x onerror=\"document.title='owned'\">\u2028\u202e"
    "'\"><a href=javascript:alert(1)>{{ 7 * 7 }}{% for %}"
)


class Elements(HTMLParser):
    """Counts what a page is made of, and keeps its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.comments: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def _page(folder: Path) -> str:
    return render_page(read_contents(folder))


def _elements(folder: Path) -> Elements:
    return Elements(_page(folder))


def test_the_page_has_every_part_of_a_run(tmp_path: Path, hand: Any) -> None:
    words = " ".join("".join(_elements(hand.write_run(tmp_path)).words).split())
    for part in (
        "Rain is praised", "Category k1: Praise of rain", "from “scolds” to “praises”",
        "c1 Praise: praises (reader; seen in i1, d1.n1, d1.n2)", "It scolds rain.",
        "Why: the reward rose", "Text 1: revision of text 0 accepted stands",
        "shown from memory: l1", "When it rains : praise the rain", "Plan: 1 edit",
        "one round is over", "2 calls in 1.5 seconds", "1 memo of the study",
    ):  # fmt: skip
        assert part in words, part


def test_what_was_said_by_a_model_or_a_file_adds_no_element(tmp_path: Path, hand: Any) -> None:
    plain = _elements(hand.write_run(tmp_path / "plain", "harmless"))
    hostile = _elements(hand.write_run(tmp_path / "hostile", HOSTILE))
    assert hostile.tags == plain.tags
    assert hostile.tags["script"] == 1
    assert hostile.comments == []
    assert [a for _, name, a in hostile.attributes if name.startswith("on")] == []
    assert "".join(hostile.words).count('<script>document.title="owned"</script>') > 20
    assert "{{ 7 * 7 }}" in "".join(hostile.words)


def test_the_page_names_no_address_but_its_own_parts(tmp_path: Path, hand: Any) -> None:
    page = _elements(hand.write_run(tmp_path, HOSTILE))
    addresses = page.all("href") + page.all("src")
    assert addresses
    assert [a for a in addresses if not a.startswith(("#", "data:"))] == []


def test_the_policy_allows_nothing_but_the_pages_own_style_script_and_pictures(
    tmp_path: Path, hand: Any
) -> None:
    page = _elements(hand.write_run(tmp_path))
    (policy,) = [content for content in page.all("content") if "default-src" in content]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert re.fullmatch(r"'sha256-[\w+/]+=*'", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]+=*'", rules["style-src"])


def test_a_place_is_named_once_and_every_link_leads_to_one(tmp_path: Path, hand: Any) -> None:
    for number in range(3):
        one = hand.episode().model_copy(update={"id": str(number), "output": hand.study()})
        hand.put(tmp_path / "lines", f"{number}.json", one)
    lines = [(tmp_path / "lines" / f"{n}.json").read_text() for n in range(3)]
    hand.put(tmp_path / "batch", "episodes.jsonl", "\n".join(lines) + "\n")
    for folder in (hand.write_run(tmp_path / "one"), tmp_path / "batch"):
        page = _elements(folder)
        ids = page.all("id")
        assert [name for name, count in Counter(ids).items() if count > 1] == []
        assert [a for a in page.all("href") if a[0] == "#" and a[1:] not in ids] == []
        assert [image for image in page.all("alt") if not image] == []


def test_a_batch_shows_the_first_episodes_whole_and_lists_all(tmp_path: Path, hand: Any) -> None:
    line = hand.episode().model_dump_json()
    hand.put(tmp_path, "episodes.jsonl", f"{line}\n" * (WHOLE + 2))
    hand.put(tmp_path, "failures.jsonl", [{"number": 9, "kind": "node", "reason": "it broke"}])
    page = _elements(tmp_path)
    assert page.tags["section"] - 3 == WHOLE  # notes, batch and files are the others
    words = "".join(page.words)
    assert f"{WHOLE + 2} episodes, 1 request without one" in words
    assert "node: it broke" in words


def test_what_somebodys_own_graph_gave_is_shown_as_it_is(tmp_path: Path, hand: Any) -> None:
    episode = hand.episode().model_dump(mode="json")
    episode |= {"attempts": [], "best": None, "criteria_set": None, "output": {"poem": HOSTILE}}
    hand.put(tmp_path, "episodes.jsonl", [episode | {"id": "1"}])
    page = _elements(tmp_path)
    assert page.tags["script"] == 1
    assert '"poem": "<script>document' in "".join(page.words)
    assert "There are no criteria in this folder." in "".join(page.words)


def test_a_training_run_shows_alarms_curves_and_texts(tmp_path: Path, hand: Any) -> None:
    settings = {"guards": {"least_win_rate": 0.45}}
    facts = hand.run_facts(status="stopped by a guard", error="GuardTripped: it diverged")
    hand.put(tmp_path, "run.json", facts | {"settings": settings})
    rows = [{"stage": "rl", "step": n, "criteria/reward": n / 4, "watch/words": 9} for n in (1, 2)]
    hand.put(tmp_path, "metrics.jsonl", [*rows, {"stage": "rl", "step": 2, "guard/win_rate": 0.3}])
    sample = {"stage": "rl", "step": 2, "request": "rain", "text": "drip", "value": 0.5}
    hand.put(tmp_path, "samples.jsonl", [sample])
    watch = {"history": [], "told": ["words"]}
    hand.put(tmp_path, "checkpoints/rl/step-000002/watch.json", watch)
    page = _elements(tmp_path)
    words = "".join(page.words)
    for part in ("it diverged", "too low", "drift in words", "step 2: 0.500", "drip"):
        assert part in words, part
    assert "reward from 0.25 to 0.5" in " ".join(page.all("alt"))


def test_an_evaluation_shows_its_tables_and_plots(tmp_path: Path, hand: Any) -> None:
    estimate = {"value": 0.625, "low": 0.5, "high": 0.75, "clusters": 8}
    curve = [{"judged": 2.0, "human": 3.0}, {"judged": 6.0, "human": 5.0}]
    report = {"judge": HOSTILE, "measures": {"pair_accuracy": estimate}, "curve": curve}
    hand.put(tmp_path, "report.json", {"report": report})
    page = _elements(tmp_path)
    assert "0.500 to 0.750" in "".join(page.words)
    assert page.tags["img"] == 2
    assert "pair_accuracy 0.625" in page.all("alt")[0]


@pytest.mark.parametrize("missing", ["study.json", "criteria.json", "episode.json", "calls.jsonl"])
def test_a_run_that_lacks_a_file_shows_the_rest(tmp_path: Path, hand: Any, missing: str) -> None:
    hand.write_run(tmp_path)
    (tmp_path / missing).unlink()
    words = "".join(_elements(tmp_path).words)
    assert "We drank to it." in words  # attempts.jsonl stands in for the episode
    assert "A toast to rain." in words


@pytest.mark.parametrize("name", ["study.json", "criteria.json", "episode.json", "calls.jsonl"])
@pytest.mark.parametrize("content", ["\x00\n", "[1]\n", '{"version": 99}\n', '"x"\n'])
def test_a_file_of_another_form_is_left_out_and_told(
    tmp_path: Path, hand: Any, name: str, content: str
) -> None:
    hand.write_run(tmp_path)
    hand.put(tmp_path, name, content)
    contents = read_contents(tmp_path)
    empty_study = name == "study.json" and content.startswith("{")
    assert empty_study or any(name in note for note in contents.notes)
    assert "We drank to it." in "".join(Elements(render_page(contents)).words)


def test_a_newer_episode_that_can_be_read_is_told_to_be_newer(tmp_path: Path, hand: Any) -> None:
    hand.write_run(tmp_path)
    hand.put(tmp_path, "episode.json", hand.episode().model_copy(update={"version": 3}))
    assert any("newer form" in note for note in read_contents(tmp_path).notes)


def test_a_judged_text_is_shown_with_its_judgement(tmp_path: Path, hand: Any) -> None:
    hand.put(tmp_path, "criteria.json", hand.criteria_set())
    hand.put(tmp_path, "text.txt", hand.FIRST)
    first, _ = hand.attempts()
    hand.put(
        tmp_path,
        "judgement.json",
        {"judgement": first.judgement.model_dump(), "reward": first.reward.model_dump()},
    )
    (work,) = read_contents(tmp_path).works
    assert [cell.words for row in work.scores for cell in row.cells] == ["broken", "4"]


def test_equal_runs_give_equal_pages(tmp_path: Path, hand: Any) -> None:
    folder = hand.write_run(tmp_path)
    assert _page(folder) == _page(folder)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    write_page("<!doctype html>\ud800", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "<!doctype html>?"


def test_a_slip_does_not_cost_a_run_its_files(tmp_path: Path, hand: Any) -> None:
    folder = hand.write_run(tmp_path)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="something else; choose another --out"):
        write_page(_page(folder), folder / "run.json")
    assert (folder / "run.json").read_bytes() == before
    write_page(_page(folder), folder / "page.html")
    write_page(_page(folder), folder / "page.html")  # an earlier page may be written over


def test_a_place_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose another --out"):
        write_page("x", tmp_path / "nowhere" / "page.html")


def test_without_the_libraries_the_extra_is_named(
    tmp_path: Path, hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = read_contents(hand.write_run(tmp_path))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"jinja2.*quillgraph\[report\]"):
        render_page(contents)
