from __future__ import annotations

import pytest

from textmill.gallery.progress import Meter, Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_reports_come_at_most_ten_times_a_second(clock: Clock) -> None:
    told: list[Progress] = []
    meter = Meter("f", told.append, clock)

    for step in range(1000):
        clock.now = step / 1000
        meter.at(step, 1000)

    assert 9 <= len(told) <= 11


def test_the_rate_is_that_of_the_last_seconds(clock: Clock) -> None:
    told: list[Progress] = []
    meter = Meter("f", told.append, clock)

    for second in range(20):
        clock.now = float(second)
        meter.at(1000 * second if second < 10 else 10_000 + 10 * (second - 10), None)

    assert told[5].rate == pytest.approx(1000)
    assert told[-1].rate == pytest.approx(10)


def test_a_transfer_that_begins_anew_has_no_negative_rate(clock: Clock) -> None:
    told: list[Progress] = []
    meter = Meter("f", told.append, clock)

    for second, done in enumerate((0, 1000, 2000, 0, 100)):
        clock.now = float(second)
        meter.at(done, None)

    assert [each.rate for each in told] == [0, 1000, 1000, 0, 100]


@pytest.mark.parametrize(
    ("progress", "percent"),
    [
        (Progress("f", "downloading", 50, 100), 50),
        (Progress("f", "downloading", 50, 100, number=2, count=4), 37.5),
        (Progress("f", "downloading", 50, None), 0),
        (Progress("f", "done", 50, None), 100),
        (Progress("f", "downloading", 200, 100, number=1, count=2), 50),
        (Progress("f", "done", 0, 0, number=2, count=2), 100),
    ],
)
def test_percent_is_over_all_files(progress: Progress, percent: float) -> None:
    assert progress.percent == percent
