from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import time, tzset

import pytest

from textmill.providers.retry_hints import is_spent, may_repeat, retry_after, told_wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "2500", "retry-after": "9"}, 2.5),
        ({"retry-after": "99999"}, 3600),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, None),
        ({"retry-after": "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "-5"}, None),
        ({"retry-after": "\u0663"}, None),
        ({}, None),
    ],
)
def test_what_retry_after_says(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers) == wait


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not UTC's."""
    monkeypatch.setenv("TZ", "XXX-5")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_retry_after_may_be_a_date(zone: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True).replace("GMT", zone)
    assert retry_after({"retry-after": when}) == pytest.approx(100, abs=3)


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, b"", 1),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, b"", 360),
        ({"x-ratelimit-reset-a": "9s", "x-ratelimit-remaining-a": "0", "x-ratelimit-reset-b": "1s", "x-ratelimit-remaining-b": "0"}, b"", 9),
        ({"x-ratelimit-reset": "120ms"}, b"", 0.12),
        ({"ratelimit-reset": "30"}, b"", 30),
        ({"x-ratelimit-reset": "1h2m3.5s"}, b"", 3600),
        ({"x-ratelimit-reset": "later"}, b"", None),
        ({"x-ratelimit-reset": ""}, b"", None),
        ({"x-ratelimit-reset": "5", "retry-after": "2"}, b"", 2),
        ({}, b'[{"error": {"details": [{"@type": "x"}, {"retryDelay": "34s"}]}}]', 34),
        ({}, b'{"error": {"details": [{"retryDelay": 34}]}}', None),
        ({}, b'{"error": "x"}', None),
        ({}, b"[]", None),
        ({}, b"<html>", None),
    ],
)  # fmt: skip
def test_limits_say_when_they_are_counted_anew(headers: dict[str, str], body: bytes, wait: float | None) -> None:
    assert told_wait(429, headers, body) == (None if wait is None else pytest.approx(wait))


def test_limits_may_be_told_as_times() -> None:
    for told in (f"{time() + 50:.0f}", f"{(time() + 50) * 1000:.0f}"):
        assert told_wait(429, {"x-ratelimit-reset": told}, b"") == pytest.approx(50, abs=3)


def test_limits_mean_nothing_where_they_are_not_what_failed() -> None:
    assert told_wait(500, {"x-ratelimit-reset": "5"}, b"") is None
    assert told_wait(503, {"retry-after": "5"}, b"") == 5


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [
        *((status, {}, True) for status in (408, 409, 429, 500, 502, 503, 504, 520, 529)),
        *((status, {}, False) for status in (301, 400, 401, 402, 403, 404, 413, 422, 501, 505)),
        (429, {"x-should-retry": "false"}, False),
        (400, {"x-should-retry": "True"}, True),
        (500, {"x-should-retry": "perhaps"}, True),
    ],
)
def test_requests_that_change_nothing_go_out_again(status: int, headers: dict[str, str], again: bool) -> None:  # noqa: FBT001
    assert may_repeat(status, headers, b"") is again


def test_no_waiting_mends_what_is_used_up() -> None:
    body = b'{"error": {"code": "insufficient_quota"}}'
    assert is_spent(429, body)
    assert not may_repeat(429, {}, body)
    assert may_repeat(429, {}, b'{"error": {"code": "rate_limit_exceeded"}}')
