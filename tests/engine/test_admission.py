from __future__ import annotations

import pytest

from textmill.engine.admission import Admission
from textmill.errors import Overloaded


def refusal(admission: Admission, tokens: int, waiting: int) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        admission.check(tokens, waiting)
    return caught.value


def test_the_limit_itself_is_admitted_and_one_token_more_is_not() -> None:
    admission = Admission(100)
    admission.check(40, 60)
    assert "60 tokens and 41 more" in str(refusal(admission, 41, 60))


def test_the_time_to_come_back_follows_the_measured_pace() -> None:
    admission = Admission(100)
    admission.measure(50, 5.0)
    assert refusal(admission, 40, 100).retry_after == pytest.approx(4.0)


def test_a_call_that_never_fits_comes_back_when_the_line_is_empty() -> None:
    admission = Admission(100)
    admission.measure(10, 1.0)
    assert refusal(admission, 10_000, 100).retry_after == pytest.approx(10.0)


def test_the_time_to_come_back_is_at_least_a_second() -> None:
    admission = Admission(100)
    assert refusal(admission, 40, 100).retry_after == 1.0
    admission.measure(10_000, 0.001)
    assert refusal(admission, 40, 100).retry_after == 1.0


def test_the_pace_forgets_old_batches() -> None:
    admission = Admission(100)
    admission.measure(1, 100.0)
    for _ in range(200):
        admission.measure(10, 1.0)
    assert refusal(admission, 100, 100).retry_after == pytest.approx(10.0)
