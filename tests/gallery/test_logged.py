from __future__ import annotations

import logging

import pytest

from textmill.gallery.logged import Logged, human
from textmill.gallery.progress import Progress


def told(caplog: pytest.LogCaptureFixture, *steps: tuple[float, Progress]) -> list[str]:
    """The lines for reports at these seconds."""
    caplog.set_level(logging.INFO)
    times = iter([second for second, _ in steps])
    report = Logged(logging.getLogger("test"), lambda: next(times))
    for _, progress in steps:
        report(progress)
    return caplog.messages


def test_a_large_file_has_each_phase_and_how_far_it_is_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    lines = told(
        caplog,
        (0.0, Progress("x", "waiting")),
        (0.1, Progress("x", "waiting")),
        (1.0, Progress("x", "downloading", 10, 10**9, 5.0)),
        (9.0, Progress("x", "downloading", 20, 10**9, 5.0)),
        (12.0, Progress("x", "downloading", 5 * 10**8, 10**9, 1e6)),
        (13.0, Progress("x", "verifying", 10**9, 10**9)),
        (14.0, Progress("x", "done", 10**9, 10**9)),
    )

    assert lines == [
        "x waits for another process that is at it",
        "x: 10 B of 1.0 GB (0%), 5 B/s",
        "x: 500.0 MB of 1.0 GB (50%), 1.0 MB/s",
        "x is being verified",
        "x is there (1.0 GB)",
    ]


def test_of_a_small_file_the_log_says_that_it_is_there_unless_it_takes_long(caplog: pytest.LogCaptureFixture) -> None:
    lines = told(
        caplog,
        (0.0, Progress("x", "downloading", 10, 1000, 5.0)),
        (1.0, Progress("x", "verifying", 1000, 1000, 5.0)),
        (2.0, Progress("x", "done", 1000, 1000)),
        (3.0, Progress("y", "downloading", 1, None, 0.1)),
        (8.0, Progress("y", "downloading", 2, None, 0.1)),
        (14.0, Progress("y", "downloading", 3, None, 0.1)),
    )

    assert lines == ["x is there (1.0 kB)", "y: 3 B, 0 B/s"]


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5e15, "5000.0 TB")])
def test_sizes_for_people(size: float, text: str) -> None:
    assert human(size) == text
