"""Comparisons of criteria as tables and plots."""

from pathlib import Path

import pytest

from quillgraph.backends.errors import StorageError
from quillgraph.evals.criteria import CriteriaReport
from quillgraph.evals.criteria.report import SourceReport
from quillgraph.evals.criteria.tables import (
    criteria_exclusions,
    plot_criteria,
    sources_markdown,
)
from quillgraph.evals.measures import Estimate

REPORT = CriteriaReport(
    data="d|e.jsonl",
    model="m",
    judge=None,
    confirmed=False,
    placed_by="minilm",
    requests=2,
    not_english=0,
    texts=0,
    runs=1,
    sources={
        "ours": SourceReport(
            requests=1,
            measures={
                "tokens": Estimate(value=20345.25, clusters=1),
                "recall": Estimate(value=0.5, low=0.25, high=0.75, clusters=2),
            },
            excluded={"ReplyError: expected a | b": 1},
        ),
        "generic": SourceReport(
            requests=2, measures={"recall": Estimate(value=0.125)}, excluded={}
        ),
    },
    differences={"ours - generic": {"spearman": Estimate(value=None)}},
    excluded={"texts without their request": 3},
)


def test_markdown_has_a_row_for_each_measure_and_tells_what_is_in_none() -> None:
    assert sources_markdown(REPORT).splitlines() == [
        "Criteria of m on d|e.jsonl, 2 requests; near by minilm",
        "",
        "| measure | ours | generic |",
        "| --- | ---: | ---: |",
        "| requests | 1 | 2 |",
        "| recall | 0.50 (0.25 to 0.75) | 0.12 |",
        "| tokens | 20,345.2 | – |",
        "",
        "| difference | spearman |",
        "| --- | ---: |",
        "| ours - generic | – |",
        "",
        "excluded: texts without their request (3); ours: ReplyError: expected a | b (1).",
    ]


def test_nothing_excluded_is_said() -> None:
    bare = REPORT.model_copy(update={"sources": {}, "excluded": {}})
    assert criteria_exclusions(bare) == "nothing excluded"


def test_what_english_embeddings_cannot_tell_is_said() -> None:
    told = "1 of 2 requests are not in English"
    chinese = REPORT.model_copy(update={"not_english": 1})
    assert told in sources_markdown(chinese)
    assert told not in sources_markdown(REPORT)
    assert told not in sources_markdown(chinese.model_copy(update={"placed_by": "own/model"}))


def test_what_is_measured_is_drawn_and_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    plot_criteria(REPORT, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(StorageError, match="cannot write"):
        plot_criteria(REPORT, tmp_path / "none" / "plot.png")
