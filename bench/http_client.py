"""A thin HTTP/1.1 client: requests rendered before the clock starts, kept-alive connections, answers read but not parsed.

It costs a tenth of what a general client library costs, so that the server is what is measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import orjson

from bench.closed_loop import Load, Run, in_tasks

LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
LIMIT: Final = 1 << 20


class Refused(Exception):
    """The server answered with another status than 200; the message holds status and body."""


def render(model: str, texts: Sequence[str], address: str) -> bytes:
    """One ``POST /v1/embeddings`` as the bytes that go over the wire."""
    body = orjson.dumps({"model": model, "input": list(texts) if len(texts) > 1 else texts[0]})
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One kept-alive connection; ``async with Connection(host, port) as connection``."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def ask(self, request: bytes) -> bytes:
        """Send a rendered request and return the answer's body. Raises Refused unless the status is 200."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        if not head.startswith(b"HTTP/1.1 200"):
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            message = f"{line}: {body[:300].decode(errors='replace')}"
            raise Refused(message)
        return body


async def drive(host: str, port: int, requests: Sequence[bytes], load: Load) -> Run:
    """Each client has a connection of its own, opened before the clock starts."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    connections = [await Connection(host, port).__aenter__() for _ in range(load.clients)]
    for connection in connections:
        idle.put_nowait(connection)

    async def ask(number: int) -> None:
        connection = idle.get_nowait()
        await connection.ask(requests[number])
        idle.put_nowait(connection)

    begin = time.process_time()
    try:
        run = await in_tasks(len(requests), ask, clients=load.clients, seconds=load.seconds, client="asyncio")
    finally:
        for connection in connections:
            connection.writer.close()
    return Run(run.seconds, run.milliseconds, run.client, time.process_time() - begin)
