"""The table from errors to statuses, and the errors that only HTTP knows."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from textmill.errors import (
    ContextExceeded,
    DownloadFailed,
    EmptyInput,
    ForwardFailed,
    InvalidInput,
    LoadFailed,
    ModelNotFound,
    ModelUnclear,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)


class ClientLeft(Exception):
    """The client closed the connection before its answer was ready."""


class NotJson(TextmillError):
    """The body of a request is not JSON."""


class NotJsonType(TextmillError):
    """The Content-Type of a request is missing or not that of JSON, on a route that insists on it."""


class WrongShape(InvalidInput):
    """The body is JSON, but a field is missing or of the wrong type."""


class BodyTooLarge(TextmillError):
    """The body is longer than the server accepts."""


class Unauthorised(TextmillError):
    """The request carries no key, or a wrong one."""


class Forbidden(TextmillError):
    """The request is understood, and its caller may not have it done."""


class NoRoute(TextmillError):
    """Nothing is served at this path."""


class WrongMethod(TextmillError):
    """The path exists, but not for this method. ``allow`` is the value of the Allow header."""

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


@dataclass(frozen=True, slots=True)
class Kind:
    """How a class of errors looks on the wire: OpenAI's status, type and code; TEI's status and error_type."""

    status: int
    type: str
    code: str
    tei_status: int
    tei_type: str


Compat = Literal["1.6", "1.9"]
"""The version of TEI whose statuses its routes have."""

_CALLER = "invalid_request_error"
_SERVER = "server_error"
_UNPROCESSABLE = 422

KINDS: Mapping[type[Exception], Kind] = {
    NotJson: Kind(400, _CALLER, "invalid_json", 400, "Validation"),
    NotJsonType: Kind(400, _CALLER, "invalid_json", 415, "Validation"),
    WrongShape: Kind(400, _CALLER, "invalid_type", 422, "Validation"),
    BodyTooLarge: Kind(413, _CALLER, "body_too_large", 413, "Validation"),
    Unauthorised: Kind(401, _CALLER, "invalid_api_key", 401, "Unauthorized"),
    Forbidden: Kind(403, _CALLER, "forbidden", 403, "Forbidden"),
    NoRoute: Kind(404, _CALLER, "unknown_route", 404, "NotFound"),
    WrongMethod: Kind(405, _CALLER, "method_not_allowed", 405, "MethodNotAllowed"),
    EmptyInput: Kind(400, _CALLER, "empty_input", 400, "Empty"),
    ContextExceeded: Kind(400, _CALLER, "context_length_exceeded", 422, "Validation"),
    WrongTask: Kind(400, _CALLER, "wrong_task", 424, "Backend"),
    InvalidInput: Kind(400, _CALLER, "invalid_input", 422, "Validation"),
    ModelUnclear: Kind(400, _CALLER, "model_unclear", 422, "Validation"),
    LoadFailed: Kind(503, _SERVER, "load_failed", 503, "Unhealthy"),
    # Not 502: that would tell a proxy in front that textmill itself is broken. Trying again later helps, as 503 says.
    DownloadFailed: Kind(503, _SERVER, "download_failed", 503, "Unhealthy"),
    ModelNotFound: Kind(404, _CALLER, "model_not_found", 404, "NotFound"),
    Overloaded: Kind(429, "rate_limit_error", "overloaded", 429, "Overloaded"),
    Unavailable: Kind(503, _SERVER, "unavailable", 503, "Unhealthy"),
    ForwardFailed: Kind(500, _SERVER, "forward_failed", 424, "Backend"),
    Exception: Kind(500, _SERVER, "internal_error", 500, "Backend"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that is about to be answered."""

    kind: Kind
    message: str
    param: str | None
    headers: tuple[tuple[str, str], ...]
    body_level: bool
    """The request was refused before the route saw it; TEI says so in plain text."""
    withheld: bool
    """The caller has no key; TEI tells such callers nothing."""


_FIELDS = {"window": "chunk_tokens", "overlap": "chunk_overlap", "half_life": "pooling_half_life_tokens"}
"""Options whose fields in a request are called otherwise."""


def kind_of(error: Exception) -> Kind:
    """The row of the table for an error."""
    return next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)


def failure(error: Exception, compat: Compat = "1.9", *, tei_only: bool = False) -> Failure:
    """What to say about an error, in every dialect with TEI's status if ``tei_only``.

    Errors that textmill did not raise on purpose are bugs; they stay nameless.
    """
    kind = kind_of(error)
    body_level = isinstance(error, (NotJson, NotJsonType, WrongShape, BodyTooLarge))
    if compat == "1.6" and not body_level and isinstance(error, InvalidInput):
        kind = _as_in_1_6(kind, error)
    if tei_only:
        kind = replace(kind, status=kind.tei_status)
    message = str(error) if isinstance(error, TextmillError) else "internal error; the server's log has the details"
    param = None
    if isinstance(error, InvalidInput):
        param = error.param or (None if error.index is None else "input")
        param = _FIELDS.get(param or "", param)
    elif isinstance(error, ModelNotFound):
        param = "model"
    return Failure(kind, message, param, _headers(error), body_level, isinstance(error, Unauthorised))


@contextmanager
def told_of(fields: Mapping[str, str]) -> Iterator[None]:
    """Have errors of a verb name the fields of a request in place of the verb's: ``fields`` has these by those.

    What is wrong with one of the inputs is an error of `input`.
    """
    try:
        yield
    except InvalidInput as error:
        param = error.param or (None if error.index is None else "input")
        told = copy.copy(error)  # others may have been told the same error: of texts that were computed once for all
        told.param = fields.get(param or "", param)
        raise told from error


def _as_in_1_6(kind: Kind, error: InvalidInput) -> Kind:
    """Older versions answer what does not validate, an empty input among a request's too, as if its body were too large."""
    empty = isinstance(error, EmptyInput) and error.index is not None
    return replace(kind, tei_status=413, tei_type="Validation") if empty or kind.tei_status == _UNPROCESSABLE else kind


def _headers(error: Exception) -> tuple[tuple[str, str], ...]:
    if isinstance(error, (Overloaded, LoadFailed)) and error.retry_after is not None:
        return (("retry-after", str(max(1, math.ceil(error.retry_after)))),)
    if isinstance(error, Unauthorised):
        return (("www-authenticate", "Bearer"),)
    if isinstance(error, WrongMethod):
        return (("allow", error.allow),)
    return ()


EMBED_STATUSES: Mapping[int, str] = {
    400: "The body is not JSON, a field is wrong, there is nothing to embed, or the model does not embed.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    413: "The body is larger than the server accepts.",
    422: "With `textmill tei`: a text or an option is wrong, or a field has the wrong type.",
    424: "With `textmill tei`: the model does something else, or failed on these inputs.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "The model failed on these inputs.",
    503: "The model could not be loaded, or is shutting down.",
}
"""What routes that embed can fail with, in the words of the documentation."""
