from typing import Any

from quillgraph.agents.judgements import Missing
from quillgraph.evals.report.attempts import reward_rows, score_rows, texts


def test_scores_stand_by_criterion_and_round(hand: Any) -> None:
    hard, soft = score_rows(hand.criteria_set().criteria, hand.attempts())
    assert [(cell.words, cell.mark) for cell in hard.cells] == [
        ("broken", "broken"),
        ("kept", "kept"),
    ]
    assert [(cell.words, cell.mark) for cell in soft.cells] == [("4", "band3-4"), ("7", "band7-8")]


def test_what_was_not_read_is_no_score(hand: Any) -> None:
    first, _ = hand.attempts()
    gone = Missing(criterion_id="k1.0", reason="no JSON")
    judgement = first.judgement.model_copy(update={"verdicts": (), "missing": (gone,)})
    unread = first.model_copy(update={"judgement": judgement})
    turned = judgement.model_copy(update={"gate": "empty", "missing": ()})
    gated = first.model_copy(update={"judgement": turned})
    _, soft = score_rows(hand.criteria_set().criteria, [unread, gated])
    assert [(cell.words, cell.reason) for cell in soft.cells] == [
        ("not read", "no JSON"),
        ("–", "turned away: empty"),
    ]


def test_a_reward_stands_above_its_parts_and_an_absent_part_has_no_row(hand: Any) -> None:
    rows = {row.name: [cell.words for cell in row.cells] for row in reward_rows(hand.attempts())}
    assert rows == {
        "reward": ["0.250", "0.500"],
        "soft": ["0.300", "0.600"],
        "repetition": ["1.000", "1.000"],
        "change against the best before": ["–", "+0.250"],
    }


def test_a_revision_that_changes_nothing_is_known_as_a_copy(hand: Any) -> None:
    first, second = hand.attempts()
    copied = second.model_copy(update={"text": first.text})
    assert [each.is_copy for each in texts((first, copied), best=0)] == [False, True]
    assert [each.is_copy for each in texts((first, second), best=1)] == [False, False]


def test_criteria_that_cost_a_reward_are_named(hand: Any) -> None:
    first, second = hand.attempts()
    reward = first.reward.model_copy(update={"value": None, "excluded": ("k1.0", "k2.1")})
    unread = first.model_copy(update={"reward": reward})
    rows = {row.name: [cell.words for cell in row.cells] for row in reward_rows([unread, second])}
    assert rows["excluded"] == ["k1.0, k2.1", "–"]
    assert rows["reward"] == ["–", "0.500"]


def test_a_revision_stands_beside_the_text_that_it_revises(hand: Any) -> None:
    draft, revision = texts(hand.attempts(), best=1)
    assert (draft.parent, draft.stands, revision.stands) == ((), False, True)
    assert "".join(s.text for s in revision.parent) == hand.FIRST
    assert [s.text for s in revision.segments if s.has("added")] == [" late"]
    assert [s.text for s in revision.segments if s.has("quoted")] == [
        "The rain came", " late", ".",
    ]  # fmt: skip
