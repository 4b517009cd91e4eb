"""A server that speaks OpenAI's protocol as its script says, for tests: chunks, waits, errors, breaks; it remembers what it was asked."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Break:
    """Ends the connection in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Sends nothing more until the client leaves."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Sends nothing more for so many seconds."""

    seconds: float


Step = Mapping[str, Any] | bytes | Break | Stay | Wait
"""A JSON object is one event, bytes go out as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back. ``steps`` make a stream of events, with ``[DONE]`` at its end unless ``done`` is false; else ``body`` comes whole.

    ``close`` ends the connection behind the answer without having said so.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    steps: Sequence[Step] | None = None
    done: bool = True
    framed: bool = True
    close: bool = False


@dataclass(slots=True)
class Asked:
    """A request, and what became of it: ``left`` is set when its client goes before the answer is whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    left: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)


Script = Callable[[Asked], Answer]


def saying(*texts: str, reason: str = "stop", usage: Mapping[str, Any] | None = None, **more: Any) -> Answer:
    """A chat's answer of those pieces."""
    chunks: list[Step] = [chunk(delta={"role": "assistant", "content": ""})]
    chunks += [chunk(delta={"content": text}) for text in texts]
    chunks.append(chunk(reason=reason))
    told = usage or {"prompt_tokens": 5, "completion_tokens": len(texts), "total_tokens": 5 + len(texts)}
    chunks.append({"choices": [], "usage": told})
    return Answer(steps=chunks, **more)


def chunk(index: int = 0, reason: str | None = None, **members: Any) -> dict[str, Any]:
    """One chunk with one choice; ``members`` are its own: ``delta`` of a chat, ``text`` of a completion."""
    given = members if "text" in members else {"delta": {}, **members}
    return {"object": "chunk", "choices": [{"index": index, "finish_reason": reason, **given}]}


class OpenAIServer:
    """Answers as its script says; the script may be changed at any time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.base_url = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def bodies(self) -> list[Any]:
        """What it was sent."""
        return [each.body for each in self.asked]

    async def start(
        self, *, uds: str = "", host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen."""
        if uds:
            self._server = await asyncio.start_unix_server(self._accept, uds)
            self.base_url = "http://server/v1"
            return
        self._server = await asyncio.start_server(self._accept, host, port, ssl=tls)
        scheme = "http" if tls is None else "https"
        self.base_url = f"{scheme}://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except BaseException:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            await asyncio.sleep(0)  # the loop closes the socket in its next round

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether the connection goes on."""
        asked = await _request(reader)
        self.asked.append(asked)
        answer = self.script(asked)
        if not await _answer(answer, asked, reader, writer):
            writer.transport.abort()
            return False
        asked.answered.set()
        return answer.framed and not answer.close and asked.headers.get("connection") != "close"


async def _request(reader: asyncio.StreamReader) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, orjson.loads(data) if data else None)


async def _answer(answer: Answer, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether it went out whole."""
    headers = dict(answer.headers)
    if answer.steps is None:
        data = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        kind = {} if isinstance(answer.body, bytes) else {"Content-Type": "application/json"}
        writer.write(_head(answer.status, {**kind, "Content-Length": str(len(data)), **headers}) + data)
        await writer.drain()
        return True
    framing = {"Transfer-Encoding": "chunked"} if answer.framed else {}
    writer.write(_head(answer.status, {"Content-Type": "text/event-stream", **framing, **headers}))
    gone = asyncio.ensure_future(reader.read(1))
    try:
        for step in (*answer.steps, *((b"data: [DONE]\n\n",) if answer.done else ())):
            if not await _step(step, answer, gone, writer):
                if not isinstance(step, Break):
                    asked.left.set()
                return False
        if answer.framed:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
    except ConnectionError:
        asked.left.set()
        return False
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await gone
    return True


async def _step(step: Step, answer: Answer, gone: asyncio.Future[bytes], writer: asyncio.StreamWriter) -> bool:
    """Do one; false where the connection is to end, or has."""
    if isinstance(step, Break):
        await writer.drain()
        return False
    if isinstance(step, Stay | Wait):
        await asyncio.wait([gone], timeout=step.seconds if isinstance(step, Wait) else None)
        return not gone.done()
    data = step if isinstance(step, bytes) else b"data: %s\n\n" % orjson.dumps(step)
    writer.write(b"%x\r\n%s\r\n" % (len(data), data) if answer.framed else data)
    await writer.drain()
    await asyncio.sleep(0)
    return not gone.done()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def openai_server(
    script: Script, *, uds: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[OpenAIServer]:
    """A server in the running loop."""
    server = OpenAIServer(script)
    await server.start(uds=uds, tls=tls)
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def threaded_openai_server(script: Script) -> Iterator[OpenAIServer]:
    """A server in a thread and a loop of its own, for tests that block."""
    server, loop = OpenAIServer(script), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
