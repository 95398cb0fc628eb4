"""What a comparison of policies has come to, and its files for WritingBench's own tools."""

from pathlib import Path

from quillgraph.evals.policies.records import CriterionScore, ScoredText, WrittenText
from quillgraph.evals.policies.results import PolicyResults


def test_responses_have_the_benchmarks_index() -> None:
    results = PolicyResults.within()
    texts = [
        WrittenText(policy="A", prompt="193 Film/TV Review", number=0, text="繁花"),
        WrittenText(policy="A", prompt="7 Poetry", number=0, failure="no answer"),
    ]
    for text in texts:
        results.texts.add(text)
    files = results.writingbench_files([text.place for text in texts])
    assert files["writingbench/responses/A.jsonl"] == [{"index": 193, "response": "繁花"}]


def test_scores_are_lists_for_each_criterion_one_entry_a_text() -> None:
    def scored(prompt: str, number: int, *pairs: tuple[str, float]) -> ScoredText:
        scores = tuple(CriterionScore(criterion=name, score=s, reason="so") for name, s in pairs)
        return ScoredText(policy="A", prompt=prompt, number=number, scores=scores)

    results = PolicyResults.within()
    rows = [
        scored("193 Film", 0, ("Style", 4), ("Depth", 6)),
        scored("193 Film", 1, ("Style", 5)),
        scored("7 Poetry", 0),
    ]
    for row in rows:
        results.scores.add(row)
    (line,) = results.writingbench_files([row.place for row in rows])["writingbench/scores/A.jsonl"]
    assert line == {
        "index": 193,
        "scores": {
            "Style": [{"score": 4, "reason": "so"}, {"score": 5, "reason": "so"}],
            "Depth": [{"score": 6, "reason": "so"}],
        },
    }


def test_results_of_a_folder_are_there_again_and_those_of_memory_leave_no_file(
    tmp_path: Path,
) -> None:
    text = WrittenText(policy="A", prompt="p", number=0, text="So.")
    PolicyResults.within(tmp_path).texts.add(text)
    again = PolicyResults.within(tmp_path)
    assert again.texts.rows == {("A", "p", 0): text}
    assert (again.written, again.has_text(("A", "p", 0)), again.has_text(("B", "p", 0))) == (
        1, True, False,
    )  # fmt: skip
    PolicyResults.within().texts.add(text)
    assert [path.name for path in tmp_path.iterdir()] == ["texts.jsonl"]
