"""textmill's gRPC in a process of its own, asked on streams; the client encodes by hand and decodes nothing, so that it costs little."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from bench.closed_loop import Load, Run, in_tasks
from bench.contenders import CannotRun, library
from bench.contenders.textmill_http import HOST, TextmillHttp, free_port
from bench.messages import Settings

METHOD: Final = "/tei.v1.Embed/EmbedStream"
PATIENCE: Final = 20.0


def encoded(text: str) -> bytes:
    """An EmbedRequest whose only field is its text, number 1."""
    raw = text.encode()
    size = len(raw)
    varint = bytearray()
    while size > 0x7F:  # noqa: PLR2004 - seven bits a byte
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x0a" + bytes([*varint, size]) + raw


class TextmillGrpc(TextmillHttp):
    """The same server; each client has a stream, and asks on it again as soon as it is answered."""

    def __init__(self, settings: Settings) -> None:
        self.grpc: Any = library("grpc.aio")
        self.grpc_port = free_port()
        super().__init__(settings, ("--grpc-port", str(self.grpc_port)))
        try:
            self.runner.run(self._check())
        except CannotRun:
            self.close()
            raise

    async def _check(self) -> None:
        async with self.grpc.insecure_channel(f"{HOST}:{self.grpc_port}") as channel:
            try:
                await asyncio.wait_for(channel.channel_ready(), PATIENCE)
            except TimeoutError:
                message = f"nothing answers gRPC on port {self.grpc_port}: this build does not serve it"
                raise CannotRun(message) from None

    def answer(self, load: Load) -> Run:
        """Texts go over as many streams as there are clients."""
        return self.runner.run(self._streams([encoded(texts[0]) for texts in load.requests], load))

    async def _streams(self, requests: Sequence[bytes], load: Load) -> Run:
        async with self.grpc.insecure_channel(f"{HOST}:{self.grpc_port}") as channel:
            idle: asyncio.Queue[Any] = asyncio.Queue()
            for _ in range(load.clients):
                idle.put_nowait(channel.stream_stream(METHOD)())

            async def ask(number: int) -> None:
                stream = idle.get_nowait()
                await stream.write(requests[number])
                await stream.read()
                idle.put_nowait(stream)

            run = await in_tasks(len(requests), ask, clients=load.clients, seconds=load.seconds, client="grpc.aio")
            while not idle.empty():
                await idle.get_nowait().done_writing()
            return run
