from collections.abc import Sequence

import pytest

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judgements import Missing, Verdict
from quillgraph.agents.judges import Ballot
from quillgraph.agents.requests import NO_REQUEST
from quillgraph.backends.errors import ServerFailed
from quillgraph.evals.data.records import Preference, RatedText
from quillgraph.evals.data.rubrics import generic_rubric
from quillgraph.evals.judges.scores import HumanDataScorer


class Counting:
    """A judge that gives a text as many points as it has words, and remembers what it saw."""

    name = "counting"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        self.seen.append((task.request, text))
        if text == "broken":
            raise ServerFailed("the server is gone")
        if text == "unread":
            missing = Missing(criterion_id=criteria[0].id, reason="no JSON came")
            return Ballot((), (missing,))
        points = float(len(text.split()))
        return Ballot(
            tuple(Verdict(criterion_id=c.id, score=points, votes=(points,)) for c in criteria)
        )


async def test_a_text_is_scored_on_the_scale_of_people_and_only_once() -> None:
    judge = Counting()
    scorer = HumanDataScorer(judge, generic_rubric())
    rated = [
        RatedText(id=name, request="", text="one two three four", scores=(6.0, 8.0))
        for name in "ab"
    ]
    scored = await scorer.texts(rated)
    # all five criteria have 4 points of 10, so 1 + 9 · (4 - 1)/9 = 4
    assert [row.judged for row in scored] == [pytest.approx(4.0)] * 2
    assert scored[0].human == 7.0
    assert judge.seen == [(NO_REQUEST, "one two three four")]


async def test_a_pair_is_decided_by_the_scores_of_its_texts() -> None:
    pair = Preference(
        id="p", group="g", request="A line.", left="one two", right="one", votes=("left",)
    )
    (scored,) = await HumanDataScorer(Counting(), generic_rubric()).pairs([pair])
    assert (scored.choice, scored.group) == ("left", "g")


@pytest.mark.parametrize(
    ("text", "reason"), [("broken", "ServerFailed: the server is gone"), ("unread", "no JSON came")]
)
async def test_a_score_that_cannot_be_had_is_absent_with_its_reason(text: str, reason: str) -> None:
    pair = Preference(id="p", group="g", request="R", left=text, right="one", votes=("left",))
    (scored,) = await HumanDataScorer(Counting(), generic_rubric()).pairs([pair])
    assert (scored.left.judged, scored.left.reason, scored.choice) == (None, reason, None)
