from quillgraph.evals.judges.calibration import Band
from quillgraph.evals.judges.report import JudgeReport
from quillgraph.evals.measures.intervals import Estimate
from quillgraph.evals.report.tables import Interval, tables

REPORT = JudgeReport(
    judge="me",
    criteria="generic rubric",
    data="wqrm.jsonl",
    texts=3,
    pairs=2,
    excluded={"no score": 1},
    measures={
        "pair_accuracy": Estimate(value=0.625, low=0.5, high=0.75, clusters=8),
        "spearman": Estimate(value=None),
    },
    curve=(Band(judged=2.0, human=3.0, count=1), Band(judged=6.0, human=5.0, count=2)),
)


def test_the_report_of_a_judge_becomes_tables() -> None:
    by_title = {table.title: table for table in tables({"report": REPORT.model_dump(mode="json")})}
    assert by_title["report"].rows[0] == ("judge", "me")
    assert by_title["report: excluded"].rows == (("no score", "1"),)
    measures = by_title["report: measures"]
    assert measures.rows == (
        ("pair_accuracy", "0.625", "0.500 to 0.750", "8"),
        ("spearman", "–", "–", "0"),
    )
    assert measures.intervals[0] == Interval("pair_accuracy", 0.625, 0.5, 0.75)
    assert by_title["report: curve"].points == ((2.0, 3.0), (6.0, 5.0))


def test_probes_become_one_table_with_their_intervals() -> None:
    effect = Estimate(value=1.5, low=1.0, high=2.0, clusters=4).model_dump()
    probe = {"probe": "length", "effect": effect, "unread": 0, "verdict": "caught"}
    (table,) = tables([probe], "probes")
    assert table.head == ("probe", "effect", "unread", "verdict")
    assert table.rows == (("length", "1.500 (1.000 to 2.000)", "0", "caught"),)
    assert table.intervals == (Interval("length", 1.5, 1.0, 2.0),)


def test_a_form_that_nobody_has_thought_of_is_shown_all_the_same() -> None:
    data = {"a": {"b": {"c": 1}, "d": [1, "x"]}, "e": [], "f": [{"g": 1}, {"h": 2}]}
    assert [(table.title, table.rows) for table in tables(data)] == [
        ("b", (("c", "1"),)),
        ("d", (("1",), ("x",))),
        ("f", (("1", "–"), ("–", "2"))),
    ]


def test_what_is_no_mapping_and_no_list_is_no_table() -> None:
    assert list(tables(None)) == []
    assert list(tables("text")) == []
