"""Files for WritingBench's own tools."""

import json

from quillgraph.evals.policies.records import CriterionScore, ScoredText, WrittenText
from quillgraph.evals.policies.writingbench import response_scores, responses


def test_responses_have_the_benchmarks_index() -> None:
    texts = [
        WrittenText(policy="A", prompt="193 Film/TV Review", number=0, text="繁花"),
        WrittenText(policy="A", prompt="7 Poetry", number=0, failure="no answer"),
    ]
    assert responses(texts) == '{"index": 193, "response": "繁花"}\n'


def test_scores_are_lists_for_each_criterion_one_entry_a_text() -> None:
    def scored(prompt: str, number: int, *given: tuple[str, float]) -> ScoredText:
        told = tuple(CriterionScore(criterion=name, score=s, reason="so") for name, s in given)
        return ScoredText(policy="A", prompt=prompt, number=number, scores=told)

    found = response_scores(
        [
            scored("193 Film", 0, ("Style", 4), ("Depth", 6)),
            scored("193 Film", 1, ("Style", 5)),
            scored("7 Poetry", 0),
        ]
    )
    (line,) = map(json.loads, found.splitlines())
    assert line == {
        "index": 193,
        "scores": {
            "Style": [{"score": 4, "reason": "so"}, {"score": 5, "reason": "so"}],
            "Depth": [{"score": 6, "reason": "so"}],
        },
    }
