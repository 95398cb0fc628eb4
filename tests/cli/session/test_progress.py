"""What is said of a run on its way, where there is no bar."""

import io
import time

import pytest

from quillgraph.backends import Recorder
from quillgraph.cli.session.progress import EVERY_S, ProgressWatch, plain_console

STAGES = {"start": "starting", "run": "running 3 requests"}


def test_a_long_stage_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now, screen = 0.0, io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with (
        Recorder(None, "run") as recorder,
        ProgressWatch(plain_console(screen), recorder, STAGES) as watch,
    ):
        watch.finished("start")
        watch.reached("1 done")
        now = EVERY_S
        watch.reached("2 done")
        now = 1.5 * EVERY_S
        watch.reached("3 done")
    assert screen.getvalue().splitlines() == [
        "starting …",
        "running 3 requests …",
        "running 3 requests: 2 done …",
    ]
