"""What a server that speaks OpenAI's protocol says when it refuses or fails, as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from textmill.errors import (
    ContextExceeded,
    ForwardFailed,
    InvalidInput,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)
from textmill.providers.retry_hints import is_spent, told_wait

_TOO_LONG = ("exceed_context_size_error", "context_length_exceeded")
_ASKED = (400, 404, 405, 409, 413, 415, 422)
"""Where the request is at fault, if the server says so in its own words."""
_RETRY_S = 5.0
_MOST_WORDS = 500
_KEY = re.compile(r"\b(?:sk|hf|gsk|xai|pplx|key)[-_][A-Za-z0-9_*.-]{4,}")

_PARAM = re.compile(r"[\w.\[\]-]{1,100}")
"""What may be a field's name; anything else that a server puts there is not given on."""


class ServerName(msgspec.Struct, frozen=True):
    """How errors name a server; ``key_setting`` is what its key is read from, or a word for it, ``key`` is never said."""

    name: str
    address: str = ""
    key_setting: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"ServerName({self.name!r}, {self.address!r}, {self.key_setting!r})"

    @property
    def title(self) -> str:
        """Its name, with its address where that is another."""
        return f"{self.name} at {self.address}" if self.address and self.address not in self.name else self.name


def error_of(server: ServerName, status: int, headers: Mapping[str, str], body: bytes, path: str = "") -> TextmillError:
    """The error of an answer that is none of 2xx."""
    told = _object(body)
    if told is None and (status in _ASKED or status < 400):  # noqa: PLR2004 - the classes of HTTP
        where = f" to {path}" if path else ""
        return Unavailable(
            f"{server.title} answered {status}{where}, and not as such a server does; is its address right?"
        )
    if is_spent(status, body):
        return Unavailable(f"{server.title} has nothing left of what was paid for{_words(server, told or {})}")
    return error_in(server, status, told or {}, told_wait(status, headers, body))


def error_in(server: ServerName, status: int, told: Mapping[str, Any], wait_s: float | None = None) -> TextmillError:
    """The error of a status, or of one that stands in an error object, with what the server says of it."""
    says = _words(server, told)
    if status in (401, 403):
        return _key_error(server, status, says)
    if status == 429 or (status == 503 and wait_s is not None):  # noqa: PLR2004
        return Overloaded(
            f"{server.title} has too much to do{says}", retry_after=max(1.0, _RETRY_S if wait_s is None else wait_s)
        )
    if status in _ASKED:
        return _asked_error(server, told, says)
    if status == 501:  # noqa: PLR2004
        return WrongTask(f"{server.title} cannot do that{says}")
    if status in (402, 502, 503):
        return Unavailable(f"{server.title} cannot answer now (status {status}){says}")
    return ForwardFailed(f"{server.title} failed (status {status}){says}")


def stream_error(server: ServerName, told: Any) -> TextmillError:
    """The error of an ``error`` that came inside of a stream."""
    facts = told if isinstance(told, dict) else {"message": str(told)}
    for key in ("code", "status", "status_code"):
        code = facts.get(key)
        if isinstance(code, int | str) and re.fullmatch(r"[45]\d\d", str(code)):
            return error_in(server, int(code), facts)
    kinds = f"{facts.get('type')} {facts.get('code')}"
    if any(kind in kinds for kind in (*_TOO_LONG, "invalid_request_error", "BadRequestError")):
        return error_in(server, 400, facts)
    if "rate_limit" in kinds or "overloaded" in kinds:
        return error_in(server, 429, facts)
    return error_in(server, 500, facts)


def _key_error(server: ServerName, status: int, says: str) -> TextmillError:
    if status == 403:  # noqa: PLR2004
        given = f" by the key of {server.key_setting}" if server.key_setting else ""
        return Unavailable(f"{server.title} does not allow that{given}{says}")
    if server.key:
        return Unavailable(f"{server.title} does not take the key of {server.key_setting or 'its setting'}")
    wants = f"; set {server.key_setting}" if server.key_setting else ""
    return Unavailable(f"{server.title} wants a key{wants}")


def _asked_error(server: ServerName, told: Mapping[str, Any], says: str) -> TextmillError:
    kinds = (told.get("type"), told.get("code"))
    holds, has = told.get("n_ctx"), told.get("n_prompt_tokens")
    if isinstance(holds, int) and isinstance(has, int) and any(kind in _TOO_LONG for kind in kinds):
        return ContextExceeded(f"the prompt has {has} tokens, and the context of {server.name} holds {holds}")
    param = told.get("param")
    sane = isinstance(param, str) and _PARAM.fullmatch(param) and not (server.key and server.key in param)
    kind = ContextExceeded if any(kind in _TOO_LONG for kind in kinds) else InvalidInput
    return kind(f"{server.name} refuses the request{says}", param=param if sane else None)


def _object(body: bytes) -> dict[str, Any] | None:
    """The error object of a body: OpenAI's nested one, or the flat ones of others; None where there is none."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(read, list) and read:  # Gemini's
        read = read[0]
    if not isinstance(read, dict):
        return None
    inner = read.get("error")
    if isinstance(inner, dict):
        return inner
    for words in (inner, read.get("message"), read.get("detail")):
        if words:
            return {**read, "message": words if isinstance(words, str) else orjson.dumps(words).decode()}
    return None


def _words(server: ServerName, told: Mapping[str, Any]) -> str:
    """What the server says, on one line and without anything that looks like a key, behind a colon; empty for nothing."""
    message = told.get("message") or told.get("reason")  # Elasticsearch's
    if not isinstance(message, str) or not message.strip():
        return ""
    line = " ".join(message.split())
    if server.key:
        line = line.replace(server.key, "…")
    line = _KEY.sub("…", line)
    return f": {line[:_MOST_WORDS]}{'…' * (len(line) > _MOST_WORDS)}"
