from math import nan

from quillgraph.evals.report.training import (
    MOST_REQUESTS,
    MOST_STEPS,
    checks,
    panels,
    samples,
    signs,
    warned,
)


def test_metrics_are_shown_by_stage_and_group_and_held_out_beside_trained_on() -> None:
    rows = [
        {"stage": "sft", "step": 1, "loss": 2.0},
        {"stage": "rl", "step": 2, "criteria/reward": 0.5, "loss": 1.0},
        {"stage": "rl", "step": 1, "criteria/reward": 0.25},
        {"stage": "rl", "step": 0, "eval/reward": 0.125},
    ]
    groups = {(p.stage, p.group): p.curves for p in panels(rows)}
    assert set(groups) == {("sft", "trainer"), ("rl", "trainer"), ("rl", "criteria")}
    trained, held_out = groups["rl", "criteria"]
    assert trained.points == ((1, 0.25), (2, 0.5))  # by step, whatever the order of the lines
    assert held_out.points == ((0, 0.125),)


def test_a_loss_that_is_no_number_is_counted_and_not_drawn() -> None:
    rows = [{"stage": "rl", "step": n, "loss": x} for n, x in enumerate([2.0, nan, 1.0])]
    (panel,) = panels(rows)
    assert panel.curves[0].points == ((0, 2.0), (2, 1.0))
    assert panel.curves[0].undefined == 1


def test_rows_of_another_form_are_passed_over() -> None:
    assert panels([{"step": "x", "loss": 1.0}, {"loss": 1.0}, {"step": 1, "note": "hm"}]) == ()


def test_only_what_has_two_steps_is_drawn() -> None:
    rows = [
        {"stage": "rl", "step": 1, "loss": 2.0},
        {"stage": "rl", "step": 2, "loss": 1.0, "train_runtime": 9.0},
    ]
    (panel,) = panels(rows)
    assert [[curve.name for curve in same] for same in panel.pictures] == [["loss"]]


def test_signs_compare_the_first_five_steps_with_the_last_three() -> None:
    words = [10, 20, 30, 40, 50, 90, 100, 110, 120]
    rows = [{"stage": "rl", "step": n, "watch/words": w} for n, w in enumerate(words)]
    (sign,) = signs(panels(rows))
    # (10+20+30+40+50)/5 = 30; (100+110+120)/3 = 110
    assert (sign.name, sign.first, sign.last) == ("watch/words", 30, 110)


def test_a_win_rate_below_the_least_is_an_alarm_where_the_least_is_known() -> None:
    rows = [{"stage": "rl", "step": n, "guard/win_rate": r} for n, r in ((25, 0.5), (50, 0.4))]
    assert [each.is_low for each in checks(rows, 0.45)] == [False, True]
    assert [each.is_low for each in checks(rows, None)] == [False, False]


def test_drifts_that_were_warned_of_are_read_from_the_checkpoint() -> None:
    assert warned({"history": [], "told": ["words"]}) == ("words",)
    assert warned(None) == ()
    assert warned({"told": 3}) == ()


def test_texts_are_spread_evenly_over_the_steps_with_the_first_and_the_last() -> None:
    rows = [
        {"stage": "rl", "step": step, "request": "rain", "text": f"{step}.{n}", "value": 0.5}
        for step in range(100)
        for n in range(2)
    ]
    (texts,), requests = samples(rows)
    steps = [sample.step for sample in texts.texts]
    assert (len(steps), steps[0], steps[-1], requests) == (MOST_STEPS, 0, 99, 1)
    assert [sample.text for sample in texts.texts[:2]] == ["0.0", "9.0"]  # 99/11 = 9 apart


def test_a_text_without_a_reward_has_none() -> None:
    row = {"step": 1, "request": "a", "text": "b", "value": None, "missing": ["no JSON"]}
    (texts,), _ = samples([row, {"step": 2, "request": 3}])
    assert (texts.texts[0].value, texts.texts[0].missing) == (None, 1)


def test_requests_that_are_not_shown_are_counted() -> None:
    rows = [{"step": 1, "request": f"r{n}", "text": "t"} for n in range(20)]
    texts, requests = samples(rows)
    assert (len(texts), requests) == (MOST_REQUESTS, 20)
