from typing import Any

from quillgraph.evals.report.calls import LISTED, LONGEST, call_log


def test_calls_are_summed_by_role_in_the_order_of_their_first_calls(hand: Any) -> None:
    log = call_log(
        [
            hand.call(0, role="writer", latency_s=2.0),
            hand.call(1, latency_s=1.0),
            hand.call(2, latency_s=3.0, attempt=1),
            hand.call(3, role=None, node="own", error="broke"),
        ]
    )
    assert [each.role for each in log.roles] == ["writer", "judge", "own"]
    judge = log.roles[1]
    assert (judge.calls, judge.asked_again, judge.failed) == (2, 1, 0)
    assert (judge.prompt_tokens, judge.completion_tokens) == (20, 4)
    assert (judge.seconds, judge.median_s) == (4.0, 2.0)
    assert log.total is not None
    assert (log.total.calls, log.total.failed, log.total.prompt_tokens) == (4, 1, 40)
    assert log.elapsed_s == 5.0  # the third begins after 2 s and takes 3


def test_replies_from_the_journal_cost_nothing_again(hand: Any) -> None:
    log = call_log([hand.call(0), hand.call(1, replayed=True)])
    assert log.total is not None
    assert (log.total.calls, log.total.prompt_tokens, log.replayed) == (1, 10, 1)


def test_no_calls_have_no_total() -> None:
    log = call_log([])
    assert (log.total, log.elapsed_s) == (None, 0.0)


def test_of_many_calls_those_are_listed_that_failed_or_took_longest(hand: Any) -> None:
    def made(number: int) -> Any:
        if number == 4_000:
            return hand.call(number, error="broke", latency_s=0.1)
        return hand.call(number, latency_s=9.0 if number == 17 else 0.5, attempt=number == 2_000)

    log = call_log(made(number) for number in range(5_000))
    assert len(log.listed) == LISTED
    assert {17, 2_000, 4_000} <= {call.number for call in log.listed}
    assert [c.number for c in log.listed] == sorted(c.number for c in log.listed)


def test_a_long_reply_is_cut_and_says_so(hand: Any) -> None:
    (call,) = call_log([hand.call(reply="x" * 10_000)]).calls
    assert call.reply is not None
    assert call.reply.startswith("x" * LONGEST + " […")
    assert "9,400 characters more" in call.reply


def test_what_a_reply_called_is_shown_with_what_it_said(hand: Any) -> None:
    function = {"name": "look", "arguments": '{"place": "sea"}'}
    broken = {"name": None, "args": "{broken", "id": "c2", "error": "so"}
    calls = {"tool_calls": [{"id": "c1", "function": function}], "invalid_tool_calls": [broken]}
    (call,) = call_log([hand.call(reply="So.", **calls)]).calls
    assert call.reply == (
        'So.\n<tool_call>\n{"name": "look", "arguments": {"place": "sea"}}\n</tool_call>'
        "\n<tool_call>\n{broken\n</tool_call>"
    )
