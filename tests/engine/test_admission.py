from __future__ import annotations

from collections.abc import Callable

import pytest

from textmill.engine.admission import Admission
from textmill.engine.engine import Engine, Policy
from textmill.errors import Overloaded
from textmill.testing.runtime import FakeRuntime

Serve = Callable[..., Engine]


def refusal(admission: Admission, tokens: int, waiting: int) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        admission.check(tokens, waiting)
    return caught.value


def test_the_limit_itself_is_admitted_and_one_token_more_is_not() -> None:
    admission = Admission(100)
    admission.check(40, 60)
    assert "60 tokens and 41 more" in str(refusal(admission, 41, 60))


def test_what_is_expected_counts_beside_what_waits() -> None:
    admission = Admission(100)
    admission.expect(60, 0)
    with pytest.raises(Overloaded, match="80 tokens and 30 more"):
        admission.expect(30, 20)
    assert admission.expected == 60
    admission.check(90, 10)  # what is known exactly is held against what is known exactly
    admission.expect(20, 20)
    assert admission.expected == 80


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


def test_a_call_is_refused_by_what_is_expected_of_it_and_of_others(serve: Serve) -> None:
    engine = serve(FakeRuntime(), Policy(batch_tokens=64, waiting_tokens=4))
    with engine.call(100), pytest.raises(Overloaded, match="limit of 4"), engine.call(1):  # alone, of any size
        pass
    with engine.call(3) as known:
        with engine.call(1), pytest.raises(Overloaded), engine.call(1):
            pass
        known()
        known()
        with engine.call(4):
            pass
    with engine.call(4):
        pass
