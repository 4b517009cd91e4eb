"""The table from errors to status codes, and the error that only gRPC knows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from grpc import StatusCode

from textmill.errors import (
    DownloadFailed,
    ForwardFailed,
    InvalidInput,
    LoadFailed,
    ModelNotFound,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)


class Unauthenticated(TextmillError):
    """The call carries no key, or a wrong one."""


CODES: Mapping[type[Exception], StatusCode] = {
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    WrongTask: StatusCode.FAILED_PRECONDITION,
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    ModelNotFound: StatusCode.NOT_FOUND,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    LoadFailed: StatusCode.UNAVAILABLE,
    DownloadFailed: StatusCode.UNAVAILABLE,
    Unavailable: StatusCode.UNAVAILABLE,
    ForwardFailed: StatusCode.FAILED_PRECONDITION,
    Exception: StatusCode.INTERNAL,
}


def code_of(error: Exception) -> StatusCode:
    """The status that a caller gets for an error."""
    return next(CODES[cls] for cls in type(error).__mro__ if cls in CODES)


def message_of(error: Exception) -> str:
    """What a caller is told. Errors that textmill did not raise on purpose are bugs; they stay nameless."""
    return str(error) if isinstance(error, TextmillError) else "internal error; the server's log has the details"


def trailers_of(error: Exception) -> tuple[tuple[str, str], ...]:
    """When to come back, where that is known: for people in seconds, for gRPC's own retries in milliseconds (gRFC A6)."""
    if not isinstance(error, (Overloaded, LoadFailed)) or error.retry_after is None:
        return ()
    return (
        ("retry-after", str(max(1, math.ceil(error.retry_after)))),
        ("grpc-retry-pushback-ms", str(math.ceil(error.retry_after * 1000))),
    )
