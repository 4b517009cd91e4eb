"""Clients that read streams of text and do next to nothing else: raw bytes, looked at when all is over."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, cast

import orjson

FIRST: Final = re.compile(rb'"(?:content|text)":"[^"]')
"""What only an event with text has in it."""
END: Final = b"data: [DONE]"
PATIENCE: Final = 120.0


@dataclass
class Read:
    """A stream: when it was asked for, when its parts came, and its bytes."""

    begin: float = 0.0
    times: list[float] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    first: float = 0.0

    @property
    def to_first_ms(self) -> float:
        """Milliseconds from the request to the first text."""
        return (self.first - self.begin) * 1e3

    @property
    def gaps_ms(self) -> list[float]:
        """Milliseconds between two parts, from the first text on."""
        times = [each for each in self.times if each >= self.first]
        return [(after - before) * 1e3 for before, after in pairwise(times)]

    @property
    def usage(self) -> dict[str, Any]:
        """What the stream says at its end. Raises ValueError where it says nothing: an error, or broken off."""
        body = b"".join(self.parts)
        for line in reversed(body.split(b"\n")):
            if line.startswith(b'data: {"') and b'"usage":{' in line:
                return cast("dict[str, Any]", orjson.loads(line[6:])["usage"])
        message = f"a stream without usage: {body[:600]!r}"
        raise ValueError(message)


class _Reader(asyncio.Protocol):
    def __init__(self, read: Read, done: asyncio.Future[None]) -> None:
        self.read = read
        self.done = done

    def data_received(self, data: bytes) -> None:
        read = self.read
        read.times.append(time.perf_counter())
        read.parts.append(data)
        if not read.first and FIRST.search(data):
            read.first = read.times[-1]
        if END in data and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def request(address: str, model: str, prompt: str, tokens: int, *, chat: bool = True) -> bytes:
    """A streaming request for exactly so many tokens, as it goes over the wire."""
    path = "/v1/chat/completions" if chat else "/v1/completions"
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    body = orjson.dumps(
        {"model": model, **asked, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
        | {"stream_options": {"include_usage": True}}
    )
    head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def stream(host: str, port: int, sent: bytes, seconds: float = PATIENCE) -> Read:
    """Read one stream on a connection of its own, for so many seconds at most; the clock starts when the connection is there."""
    loop = asyncio.get_running_loop()
    read, done = Read(), loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Reader(read, done), host, port)
    read.begin = time.perf_counter()
    transport.write(sent)
    try:
        await asyncio.wait([done], timeout=seconds)
    finally:
        transport.abort()
    return read


async def crowd(host: str, port: int, clients: Sequence[Sequence[bytes]]) -> tuple[float, list[Read]]:
    """Each client sends its requests one after the other; the seconds until all are done, and the streams."""

    async def one(requests: Sequence[bytes]) -> list[Read]:
        return [await stream(host, port, each) for each in requests]

    begin = time.perf_counter()
    read = await asyncio.gather(*(one(requests) for requests in clients))
    return time.perf_counter() - begin, [each for client in read for each in client]
