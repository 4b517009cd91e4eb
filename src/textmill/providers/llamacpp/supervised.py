"""A model's process, kept running: asked, watched while it computes, ended when it hangs, started again when it is gone."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from textmill.errors import ForwardFailed, LoadFailed, Overloaded, TextmillError, Unavailable
from textmill.folder.snapshot import parts_of
from textmill.providers.llamacpp.native import NativeWire
from textmill.providers.llamacpp.process import LlamaProcess
from textmill.providers.llamacpp.settings import Launch
from textmill.providers.openai_wire import Patience, Target, Wire

_log = logging.getLogger("textmill")

LOOK_S = 5.0
"""Seconds between two looks at a process that computes."""
STUCK_S = 30.0
"""How long a request may be under way while no slot works on any."""
HEALTH_S = 60.0
"""How long its server may take to say that it is there."""
SILENT_S = 1800.0
"""How long it may be silent in an answer: between two batches of a long prompt on a slow machine."""
_END_S = 1.0
_POLL_S = 0.02
_FULL, _RETRY_S = "Context size has been exceeded", 5.0
"""What llama.cpp says to all requests under way when a shared context is full."""
_URL = "http://llama.cpp"


@dataclass(slots=True, eq=False)
class Call:
    """A request: when it began, and whether its answer has: who reads an answer slowly must not seem to hang."""

    began: float = 0.0
    answered: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """A process that has its model, and the ways to it: ``wire`` to OpenAI's routes, ``native`` to llama.cpp's own."""

    process: LlamaProcess
    wire: Wire
    native: NativeWire
    looks: NativeWire
    hung: str = ""
    watching: asyncio.Task[None] | None = None
    under_way: set[Call] = field(default_factory=set)
    idle_since: float = 0.0

    def silent_since(self) -> float | None:
        """Since when a request has waited for the beginning of its answer while no slot worked; None where none waits."""
        waiting = [call.began for call in self.under_way if not call.answered]
        return max(self.idle_since, min(waiting)) if waiting else None


class Supervised:
    """The process of a model, for one event loop. ``environ`` is what it gets; ``cooldown`` are seconds after so many failed starts."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        environ: Mapping[str, str],
        *,
        cooldown: Callable[[int], float] = lambda failures: float(min(300, 2 ** min(failures, 9))),
        look_s: float = LOOK_S,
        health_s: float = HEALTH_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self.name = name
        self._launch = launch
        self._environ = environ
        self._cooldown = cooldown
        self._look_s = look_s
        self._health_s = health_s
        self._stuck_s = stuck_s
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._session: Session | None = None
        self._begun: LlamaProcess | None = None
        self._reviving: asyncio.Task[Session] | None = None
        self._failures = 0
        self._again = 0.0
        self._stamps: tuple[tuple[int, int], ...] = ()

    def open(self) -> Session:
        """Start it and have it load the model; blocks. Raises ModelBroken with llama.cpp's reason, Unavailable where it is closed."""
        with self._lock:
            self._stamps = _stamps(self._launch)
            self._session = self._opened()
            return self._session

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now."""
        session = self._session
        return session.process.pid if session is not None and session.process.alive else None

    @asynccontextmanager
    async def session(self, call: Call | None = None) -> AsyncIterator[Session]:
        """A session for one request, which is counted while this lasts; a process that is gone is started again for it.

        Who reads an answer in parts says by ``call`` that it has begun.

        Raises LoadFailed where that fails or has just failed; an error of a request whose process was lost becomes Unavailable.
        """
        session = self._session
        if session is None or not session.process.alive or session.hung:
            session = await self._revived(session)
        call = call or Call()
        call.began = time.monotonic()
        session.under_way.add(call)
        self._watch(session)
        try:
            yield session
        except (ForwardFailed, Unavailable) as error:
            if _FULL in str(error):
                msg = (
                    f"the requests that {self.name} had together needed more than the context that they share; try again in some "
                    "seconds, or take kv_unified out of its model file, so that each has one"
                )
                raise Overloaded(msg, retry_after=_RETRY_S) from error
            if (lost := await self._lost(session)) is not None:
                raise lost from error
            raise
        finally:
            session.under_way.discard(call)

    def close(self) -> None:
        """End the process, and with it what is under way; blocks. Any thread may call it, and again."""
        self._closed.set()
        begun = self._begun
        if begun is not None:
            begun.stop()  # else a load under way would go on
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                session.process.stop()

    async def _lost(self, session: Session) -> Unavailable | None:
        """The error of a request whose process is gone, None where it runs."""
        end = time.monotonic() + _END_S
        while session.process.alive and not session.hung and time.monotonic() < end and not self.closed:  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(_POLL_S)
        if self.closed:
            return Unavailable(f"{self.name} is being unloaded")
        if session.hung:
            return Unavailable(f"llama.cpp with {self.name} {session.hung}; it is started again for the next request")
        if session.process.alive:
            return None
        how = session.process.end
        return Unavailable(
            f"llama.cpp with {self.name} {how} while it computed; it is started again for the next request"
        )

    async def _revived(self, session: Session | None) -> Session:
        """A session that is fit; one attempt for all who ask."""
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(asyncio.to_thread(self._revive, session))
            self._reviving.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._reviving)

    def _revive(self, session: Session | None) -> Session:
        with self._lock:
            self._refuse_closed()
            if self._session is not None and self._session is not session:
                return self._session
            wait = self._again - time.monotonic()
            if self._failures and wait > 0:
                msg = f"llama.cpp could not be started again; the next attempt is possible in {wait:.0f} s"
                raise LoadFailed(msg, retry_after=wait)
            if self._session is not None:
                self._tell_end(self._session)
                self._session.process.stop()
                self._session = None
            if _stamps(self._launch) != self._stamps:
                msg = (
                    f"the files of {self.name} have changed since it was loaded, and its process is gone; in a models folder it is "
                    "loaded anew in some seconds, else unload it or start the server again"
                )
                raise LoadFailed(msg, retry_after=_RETRY_S)
            try:
                self._session = self._opened()
            except TextmillError as error:
                self._refuse_closed()
                self._failures += 1
                wait = self._cooldown(self._failures)
                self._again = time.monotonic() + wait
                msg = f"llama.cpp could not be started again: {error}"
                raise LoadFailed(msg, retry_after=wait) from error
            self._failures = 0
            return self._session

    def _opened(self) -> Session:
        self._refuse_closed()
        process = LlamaProcess(self.name, self._launch, self._environ)
        self._begun = process
        if self.closed:
            process.stop()
        process.load()
        socket = str(process.socket)
        target = Target(
            base_url=_URL, uds=socket, name=f"llama.cpp with {self.name}", patience=Patience(read_s=SILENT_S), idle=0
        )
        return Session(
            process,
            Wire(replace(target, base_url=f"{_URL}/v1")),
            NativeWire(target),
            NativeWire(replace(target, patience=Patience(read_s=self._health_s))),
        )

    def _watch(self, session: Session) -> None:
        """Have a session looked at while anything is under way there."""
        if session.watching is None or session.watching.done():
            session.watching = asyncio.create_task(self._look(session))
            session.watching.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _look(self, session: Session) -> None:
        """Look again and again; end the process where it answers no more, or works on nothing while a request is under way."""
        while True:
            await asyncio.sleep(self._look_s)
            if not session.under_way or not session.process.alive or session is not self._session:
                return
            if not await _answers(session):
                self._end(session, f"did not answer for {self._health_s:.0f} s")
                return
            if await _works(session):
                session.idle_since = time.monotonic()
            since = session.silent_since()
            if since is not None and time.monotonic() - since > self._stuck_s:
                self._end(session, f"worked on nothing for {self._stuck_s:.0f} s while requests waited")
                return

    def _end(self, session: Session, why: str) -> None:
        if session.process.alive:
            session.hung = why
            _log.error("llama.cpp with %s %s; it is ended", self.name, why)
            threading.Thread(target=session.process.stop, daemon=True).start()

    def _tell_end(self, session: Session) -> None:
        """Log how a session was lost; what the process wrote last is for the log alone, as it may have texts of requests in it."""
        session.process.wait(_END_S)
        words = f"; its last lines:\n{session.process.last_words}" if session.process.last_words else ""
        how = session.process.end or "is ended"
        _log.error("llama.cpp with %s %s; it is started again%s", self.name, how, words)

    def _refuse_closed(self) -> None:
        if self.closed:
            msg = f"{self.name} is being unloaded"
            raise Unavailable(msg)


def _stamps(launch: Launch) -> tuple[tuple[int, int], ...]:
    """Sizes and times of the files of a model, by which its fingerprint and its vocabulary were told; zeros for those that are gone."""
    found = []
    for path in (*parts_of(Path(launch.settings.model)), *(Path(path) for path, _ in launch.lora)):
        try:
            stat = path.stat()
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


async def _answers(session: Session) -> bool:
    """Whether its HTTP server answers."""
    with suppress(TextmillError):
        await session.looks.get("/health")
        return True
    return False


async def _works(session: Session) -> bool:
    """Whether a slot computes, or it cannot say because a batch is being computed."""
    try:
        slots = await session.looks.get("/slots")
    except TextmillError:
        return True
    return any(slot.get("is_processing") for slot in slots)
