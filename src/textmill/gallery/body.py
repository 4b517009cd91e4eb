"""What the head of a response says about the bytes that follow (RFC 9110, 13 to 15; the hub's own headers)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textmill.gallery.retry import Interrupted
from textmill.gallery.web import Answer, refuse_status

_PARTIAL, _UNSATISFIABLE = 206, 416
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes from ``start`` on, of ``total`` where that is known. ``validator`` is for If-Range.

    ``hub_sha256`` and ``hub_size`` are what the Hugging Face hub says of a large file before it redirects to its storage.
    """

    answer: Answer
    start: int
    total: int | None
    validator: str | None = None
    ranges: bool = True
    hub_sha256: str | None = None
    hub_size: int | None = None


def read_head(answer: Answer, url: str, have: int) -> Body | None:
    """What follows where bytes from ``have`` on were asked for; None where the server has none there (416).

    A server that ignores the range, or whose file has changed, sends everything: then ``start`` is 0. Raises as
    `refuse_status`, and Interrupted for a range that was not asked for.
    """
    if answer.status == _UNSATISFIABLE and have:
        return None
    refuse_status(answer, url)
    start, total = 0, _length(answer)
    if answer.status == _PARTIAL:
        found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        start = int(found[1]) if found else -1
        if found is None or start != have or answer.encoded:
            msg = f"the server sends another range than the one from byte {have:,}"
            raise WrongRange(msg)
        total = None if found[2] == "*" else int(found[2])
    return Body(
        answer,
        start,
        total,
        validator=_validator(answer),
        ranges=not answer.encoded,
        hub_sha256=_hub_sha256(answer),
        hub_size=_number(answer.linked.get("x-linked-size", "")),
    )


class WrongRange(Interrupted):
    """The server cannot count; without a range it may do better."""


def _length(answer: Answer) -> int | None:
    return None if answer.encoded else _number(answer.headers.get("content-length", ""))


def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() else None


def _validator(answer: Answer) -> str | None:
    etag = answer.headers.get("etag", "")
    if answer.encoded:
        return None
    return etag if etag and not etag.startswith("W/") else answer.headers.get("last-modified")


def _hub_sha256(answer: Answer) -> str | None:
    found = _SHA256.fullmatch(answer.linked.get("x-linked-etag", ""))
    return found[1] if found else None
