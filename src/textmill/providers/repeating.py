"""Asks a server for what may be asked for again: embeddings and scores, whose requests change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from textmill.errors import ForwardFailed, Unavailable
from textmill.providers.openai_errors import error_of, stream_error
from textmill.providers.openai_wire import CutOff, Reply, Retries, Wire
from textmill.providers.remote_dialect import Request
from textmill.providers.retry_hints import may_repeat, told_wait

_FIRST_S, _LONGEST_S = 0.5, 8.0


async def ask(wire: Wire, request: Request, retries: Retries) -> Any:
    """The JSON that answers a request, after as many attempts as are allowed.

    It goes out again where the server could not be reached, broke off, or answered with 408, 409, 429 or one from 500 on but 501
    and 505, after the wait that it tells, else after half a second, one, two and so on. A longer wait than is left of
    ``retries.seconds`` is not made.
    Raises as `Wire` does: of several attempts, what the last one met.
    """
    left, backoff = retries.seconds, _FIRST_S
    for attempt in range(retries.times + 1):
        last = attempt == retries.times
        try:
            reply = await wire.ask(request.path, request.body, beside=request.beside)
        except (Unavailable, CutOff):
            if last or backoff > left:
                raise
            wait = backoff
        else:
            if reply.good:
                return _read(wire, reply, request.path)
            told = told_wait(reply.status, reply.headers, reply.body)
            wait = backoff if told is None else told
            if last or wait > left or not may_repeat(reply.status, reply.headers, reply.body):
                raise error_of(wire.server, reply.status, reply.headers, reply.body, request.path)
        left -= wait
        backoff = min(2 * backoff, _LONGEST_S)
        await asyncio.sleep(wait)
    raise AssertionError  # the last attempt has returned or raised


def _read(wire: Wire, reply: Reply, path: str) -> Any:
    try:
        read = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        kind = reply.headers.get("content-type", "")
        msg = (
            f"{wire.server.title} answered {path} with no JSON{f', but {kind}' if kind and 'json' not in kind else ''}"
        )
        raise ForwardFailed(msg) from None
    if isinstance(read, dict) and read.get("error"):
        raise stream_error(wire.server, read["error"])
    return read
