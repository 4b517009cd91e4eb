"""What a streamed chunk costs the process that reads it: textmill's own client beside httpx, on the same streams.

    python -m bench.wire [--streams 8] [--chunks 2000]

A server in a process of its own sends chunks as llama.cpp's does, one every two milliseconds a stream, over a Unix socket. Told are the
CPU's microseconds of the reading process for each chunk, its JSON read, and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import orjson
import uvloop

from textmill.providers.openai_wire import Target, Wire
from textmill.providers.server_events import EventReader
from textmill.testing.openai_server import Answer, Step, Wait, chunk, openai_server

_MORE = {"created": 1, "id": "chatcmpl-0123456789abcdef0123456789abcdef", "model": "m.gguf", "system_fingerprint": "b0"}


def _serve(path: str, chunks: int) -> None:
    steps: list[Step] = [each for _ in range(chunks) for each in (chunk(delta={"content": "Th"}) | _MORE, Wait(0.002))]

    async def serve() -> None:
        async with openai_server(lambda _: Answer(steps=steps), uds=path):
            await asyncio.Event().wait()

    uvloop.run(serve())


async def _ours(path: str, streams: int) -> int:
    async with Wire(Target(base_url="http://server/v1", uds=path)) as wire:

        async def one() -> int:
            return len([each async for each in wire.stream("/chat/completions", {})])

        return sum(await asyncio.gather(*(one() for _ in range(streams))))


async def _httpx(path: str, streams: int) -> int:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path), timeout=60) as client:

        async def one() -> int:
            reader, count = EventReader(), 0
            async with client.stream("POST", "http://server/v1/chat/completions", json={}) as answer:
                async for data in answer.aiter_raw():
                    count += len([orjson.loads(event) for event in reader.feed(data) if event != b"[DONE]"])
            return count

        return sum(await asyncio.gather(*(one() for _ in range(streams))))


def _cost(read: Callable[[str, int], Awaitable[int]], path: str, streams: int) -> float:
    """Microseconds of the CPU a chunk."""

    async def run() -> int:
        return await read(path, streams)

    began = time.process_time()
    count = uvloop.run(run())
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    """Measure both in turn, twice, and tell the better time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--chunks", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(path, given.chunks), daemon=True)
        server.start()
        try:
            while not Path(path).exists():
                time.sleep(0.05)
            costs = [(_cost(_ours, path, given.streams), _cost(_httpx, path, given.streams)) for _ in range(2)]
        finally:
            server.terminate()
    ours, theirs = (min(each) for each in zip(*costs, strict=True))
    print(f"textmill {ours:.1f} us a chunk, httpx {theirs:.1f} us a chunk: {theirs / ours:.1f} times")


if __name__ == "__main__":
    main()
