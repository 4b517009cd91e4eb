"""What a textmill server says when it refuses or fails, as the errors that textmill raises in the process."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx

import textmill

RETRIED = frozenset({429, 503})
_LONGEST_WAIT = 60.0
_FIRST_WAIT, _LONGEST_GUESS = 0.5, 8.0


def refusal(answer: httpx.Response) -> textmill.TextmillError:
    """The error that an answer of 400 or more stands for."""
    message = f"{answer.request.url}: {_message(answer)}"
    status = answer.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return textmill.Overloaded(message, retry_after=wait_said(answer.headers) or 1.0)
    if status < httpx.codes.INTERNAL_SERVER_ERROR:
        return _REFUSALS.get(status, textmill.InvalidInput)(message)
    return (
        textmill.Unavailable(message) if status == httpx.codes.SERVICE_UNAVAILABLE else textmill.ForwardFailed(message)
    )


_REFUSALS: Mapping[int, type[textmill.TextmillError]] = {
    401: textmill.ConfigInvalid,
    403: textmill.ConfigInvalid,
    404: textmill.ModelNotFound,
}


def wait(attempt: int, headers: Mapping[str, str] | None = None) -> float:
    """Seconds to wait after that many attempts have failed: what the server says, up to a minute, else 0.5, 1, 2, 4 and then 8."""
    said = wait_said(headers or {})
    return min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_GUESS) if said is None else min(said, _LONGEST_WAIT)


def wait_said(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, which has them or a date (RFC 9110, 10.2.3); None where it is absent or neither."""
    said = headers.get("retry-after", "")
    try:
        return max(float(said), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _message(answer: httpx.Response) -> str:
    """What the body says, whichever dialect it is in, else its beginning."""
    try:
        body = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    said: Any = body
    for key in ("error", "message"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return said if isinstance(said, str) else f"{answer.status_code} {answer.text[:200]}".strip()
