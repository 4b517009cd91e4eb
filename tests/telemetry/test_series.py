from __future__ import annotations

import pytest

from textmill.telemetry.series import Counter, Histogram


def test_a_counter_is_shown_by_its_own_name_from_the_beginning() -> None:
    counter = Counter("requests")
    assert list(counter.lines()) == ["# TYPE requests counter", "requests 0"]
    counter.add(3)
    assert list(counter.lines())[1] == "requests 3"


def test_every_value_of_a_closed_label_is_shown_and_no_other_counts() -> None:
    counter = Counter("failures", "err", ("late", "lost"))
    counter.add(1, "lost")
    assert list(counter.lines())[1:] == ['failures{err="late"} 0', 'failures{err="lost"} 1']
    with pytest.raises(KeyError):
        counter.add(1, "stolen")


def test_a_histogram_counts_what_lies_at_or_below_each_bound() -> None:
    histogram = Histogram("seconds", (0.00001, 0.5, 2))
    for value, times in ((0.00001, 1), (0.5, 2), (0.75, 1), (9.0, 1)):
        histogram.add(value, times)
    assert list(histogram.lines()) == [
        "# TYPE seconds histogram",
        'seconds_bucket{le="0.00001"} 1',
        'seconds_bucket{le="0.5"} 3',
        'seconds_bucket{le="2"} 4',
        'seconds_bucket{le="+Inf"} 5',
        "seconds_sum 10.75001",
        "seconds_count 5",
    ]
