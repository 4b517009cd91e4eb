"""When a server says that it may be asked again: Retry-After and its kin, limits that are counted anew, and delays in an error's body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import time

import orjson

_MOST_S = 3600.0
_OVERLOADED, _FAILED = 429, 500
_AGAIN = (408, 409, _OVERLOADED)
"""Statuses below 500 of requests that may go out again as they are; so may those of all from 500, but for two."""
_NEVER = (501, 505)
"""What a server does not know how to do it will not know the next time."""
_SPENT = (b"insufficient_quota", b"billing_hard_limit_reached")
"""What OpenAI says in a 429 that no waiting mends."""
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_DURATION = re.compile(
    r"(?:(\d{1,9}(?:\.\d{1,9})?)h)?(?:(\d{1,9}(?:\.\d{1,9})?)m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_UNITS = (3600.0, 60.0, 1.0, 0.001)
_AN_EPOCH, _AN_EPOCH_IN_MS = 1e9, 1e12


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait, from now; None where it does not say."""
    in_ms = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(in_ms):
        return _bounded(float(in_ms) / 1000)
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return _bounded(float(value))
    with suppress(ValueError, OverflowError):
        when = parsedate_to_datetime(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)  # -0000 says that much, and no zone
        return _bounded((when - datetime.now(UTC)).total_seconds())
    return None


def told_wait(status: int, headers: Mapping[str, str], body: bytes) -> float | None:
    """The seconds to wait that an answer tells in any way; None for none. Of a status other than 429, limits mean nothing."""
    told = retry_after(headers)
    if told is not None or status != _OVERLOADED:
        return told
    told = _delay_in(body)
    return told if told is not None else _reset(headers)


def may_repeat(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a request that changes nothing may go out again after such an answer."""
    said = headers.get("x-should-retry", "").lower()
    if said in ("true", "false"):
        return said == "true" and status >= 400  # noqa: PLR2004 - the classes of HTTP
    if is_spent(status, body):
        return False
    return status in _AGAIN or (status >= _FAILED and status not in _NEVER)


def is_spent(status: int, body: bytes) -> bool:
    """Whether a 429 says that what was paid for is used up."""
    return status == _OVERLOADED and any(word in body for word in _SPENT)


def _delay_in(body: bytes) -> float | None:
    """Google's ``retryDelay`` among the details of an error (google.rpc.RetryInfo)."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    read = read[0] if isinstance(read, list) and read else read
    error = read.get("error") if isinstance(read, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and isinstance(each.get("retryDelay"), str):
            return _seconds(each["retryDelay"])
    return None


def _reset(headers: Mapping[str, str]) -> float | None:
    """When limits are counted anew: the last of those that are used up, or the first of all where none says so."""
    found = list(_resets(headers))
    spent = [seconds for seconds, remaining in found if remaining == "0"]
    return max(spent) if spent else min((seconds for seconds, _ in found), default=None)


def _resets(headers: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Seconds until each limit is counted anew, with what is left of it as it is told."""
    for name, value in headers.items():
        if re.fullmatch(r"(?:x-)?ratelimit-reset(?:-[a-z-]+)?", name):
            seconds = _seconds(value.strip())
            if seconds is not None:
                yield seconds, headers.get(name.replace("reset", "remaining"), "").strip()


def _seconds(text: str) -> float | None:
    """A duration such as ``6m0s`` or ``120ms``, a number of seconds, or a time since 1970 in seconds or milliseconds."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _AN_EPOCH_IN_MS:
            number /= 1000
        return _bounded(number - time() if number >= _AN_EPOCH else number)
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    return _bounded(sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part))


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _MOST_S)
