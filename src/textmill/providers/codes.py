"""What a backend's gRPC status means as an error of ours."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode

from textmill.errors import ForwardFailed, InvalidInput, Overloaded, TextmillError, Unavailable, WrongTask

_MOST = 500
"""Characters of a backend's own words."""
_RETRY_S = 1.0
_CALLER = (StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE)
_IDENTITY = "identity mismatch"


class Lost(Unavailable):
    """The backend answers no more: its process has ended, or the connection has, while it computed."""


class NotReached(Lost):
    """Nobody listens at the backend's address, so it has not seen the request."""


class OtherModel(Lost):
    """The backend has another model loaded than the one that is meant."""


class Unimplemented(WrongTask):
    """The backend does not have the rpc."""


def error_of(call: Any, backend: str, method: str) -> TextmillError:  # noqa: PLR0911 - a table of codes
    """The error of a call that failed."""
    code, said = call.code(), shortened(call.details() or "")
    told = f"the backend {backend} answered {method} with {code.name}: {said or 'no reason given'}"
    if code is StatusCode.UNAVAILABLE:
        kind = NotReached if "failed to connect" in said or "onnection refused" in said else Lost
        return kind(f"the backend {backend} cannot be reached: {said}")
    if code is StatusCode.UNIMPLEMENTED:
        return Unimplemented(f"the backend {backend} does not have {method}")
    if code is StatusCode.RESOURCE_EXHAUSTED:
        return InvalidInput(told) if "larger than max" in said else Overloaded(told, retry_after=_RETRY_S)
    if code is StatusCode.NOT_FOUND and _IDENTITY in said:
        return OtherModel(told)
    if code in _CALLER:
        return InvalidInput(told)
    if code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED):
        return Lost(told)
    return ForwardFailed(told)


def shortened(said: str) -> str:
    """The beginning of a backend's words, on one line."""
    line = " ".join(said.split())
    return line if len(line) <= _MOST else f"{line[:_MOST]} …"
