"""Where the time of a step goes."""

import pytest

from quillgraph.rl.monitors.timer import Clock


class Trainer:
    """Has the methods that are measured, the one within the other."""

    def __init__(self) -> None:
        self.now = 0.0

    def training_step(self) -> str:
        self.now += 1.0
        self._generate()
        self.now += 2.0
        return "loss"

    def _generate(self) -> None:
        self.now += 4.0
        if self.now > 100:
            raise RuntimeError("the engine fell over")


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    timed = Trainer()
    monkeypatch.setattr("time.perf_counter", lambda: timed.now)
    return timed


def test_what_lies_within_another_part_counts_once(trainer: Trainer) -> None:
    clock = Clock()
    clock.measure(trainer)
    assert trainer.training_step() == "loss"
    # 1 + 2 around the 4 of the generation
    assert clock.take() == {"time/generate_s": 4.0, "time/update_s": 3.0}
    assert clock.take() == {}


def test_the_parts_of_several_calls_add_up(trainer: Trainer) -> None:
    clock = Clock()
    clock.measure(trainer)
    trainer.training_step()
    trainer.training_step()
    assert clock.take() == {"time/generate_s": 8.0, "time/update_s": 6.0}


def test_what_fails_has_taken_its_time_all_the_same(trainer: Trainer) -> None:
    clock = Clock()
    clock.measure(trainer)
    trainer.now = 99.0
    with pytest.raises(RuntimeError, match="fell over"):
        trainer.training_step()
    assert clock.take() == {"time/generate_s": 4.0, "time/update_s": 1.0}
