"""A backend with one model loaded: opened, watched, opened anew when it is gone, closed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from textmill.errors import LoadFailed, ModelBroken, TextmillError, Unavailable
from textmill.folder.external import External
from textmill.providers.codes import Lost, NotReached, OtherModel, Unimplemented, shortened
from textmill.providers.messages import BUSY, READY, HealthMessage
from textmill.providers.places import Places
from textmill.providers.process import BackendProcess, free_address
from textmill.providers.wire import Wire

_log = logging.getLogger("textmill")

LOAD_S = 3600.0
"""How long LoadModel may take: backends download models."""
_HEALTH_S, _FREE_S = 10.0, 5.0
_LOOK_S = 0.05
_DIALLED_S = 5.0
"""How long a backend that is dialled, and was there before, is waited for."""
_END_S = 1.0
"""How long it takes at most until a process that has lost its connection is seen to be gone."""
_TOKEN = "LOCALAI_GRPC_AUTH_TOKEN"  # noqa: S105 - the name of a variable
"""What newer backends let calls in by; older ones do not look at it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How a backend is waited for: so many ``attempts`` to reach it, ``sleep_s`` seconds between two."""

    attempts: int = 20
    sleep_s: float = 2.0

    @property
    def seconds(self) -> float:
        """All in all."""
        return self.attempts * self.sleep_s


@dataclass(slots=True, eq=False)
class _Session:
    """A process, None where the backend is only dialled, the way to it, and whether something has gone wrong on that way."""

    wire: Wire
    process: BackendProcess | None
    doubtful: bool = False
    unloaded: bool = False

    @property
    def fit(self) -> bool:
        """Whether calls may go there, as far as is known."""
        return not self.doubtful and (self.process is None or self.process.alive)

    def end(self) -> None:
        """Leave nothing behind."""
        self.wire.close()
        if self.process is not None:
            self.process.stop()


class Backend:
    """The backend ``external`` with the model of ``options``, for one event loop. ``environ`` is what its process gets."""

    def __init__(
        self,
        external: External,
        options: Any,
        environ: Mapping[str, str],
        places: Places,
        patience: Patience = Patience(),
        *,
        cooldown: Callable[[int], float] = lambda failures: float(min(300, 10 * 2 ** min(failures - 1, 5))),
    ) -> None:
        self.name = external.name
        self._external = external
        self._options = options
        self._environ = environ
        self._places = places
        self._patience = patience
        self._cooldown = cooldown
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._session: _Session | None = None
        self._begun: _Session | None = None
        self._reviving: asyncio.Task[_Session] | None = None
        self._failures = 0
        self._again = 0.0

    def open(self) -> None:
        """Start or dial it, wait until it answers, have it load the model; blocks. Raises Unavailable, ModelBroken, InvalidInput."""
        with self._lock:
            self._session = self._opened()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def ask(self, method: str, request: Any, seconds: float) -> Any:
        """An rpc's answer after `open`; blocks, and revives nothing."""
        session = self._session
        if session is None:
            msg = f"the backend {self.name} is not open"
            raise Unavailable(msg)
        return session.wire.ask(method, request, seconds)

    async def call(self, method: str, request: Any, seconds: float) -> Any:
        """An rpc's answer; a backend that is gone is opened anew for it.

        Raises LoadFailed where that fails or has just failed, Unavailable where the backend is lost on the way, and what
        `textmill.providers.codes.error_of` gives.
        """
        session = self._session
        if session is None or not session.fit:
            session = await self._revived(session)
        try:
            return await session.wire.call(method, request, seconds)
        except NotReached:
            session.doubtful = True
        except Lost as lost:
            raise await self._doubted(session, lost) from lost
        session = await self._revived(session)
        try:
            return await session.wire.call(method, request, seconds)
        except Lost as lost:
            raise await self._doubted(session, lost) from lost

    def close(self) -> None:
        """End calls under way and the process, and let go of the model; blocks. Any thread may call it."""
        self._closed.set()
        begun = self._begun
        if begun is not None and begun is not self._session:
            begun.wire.close()  # else an opening under way would go on
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                if session.fit:
                    with suppress(TextmillError):  # many backends do not have it
                        session.wire.ask("Free", HealthMessage(), _FREE_S)
                session.end()
            self._places.leave(self._external.address, self)

    async def _doubted(self, session: _Session, lost: Lost) -> Unavailable:
        """The error of a call that a session was lost under, with what is known of the end."""
        if self.closed:
            return Unavailable(f"the backend {self.name} is being closed")
        session.doubtful = True
        session.unloaded = session.unloaded or isinstance(lost, OtherModel)
        end = time.monotonic() + _END_S
        while session.process is not None and session.process.alive and time.monotonic() < end:  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(_LOOK_S)
        if session.process is None or session.process.alive:
            return lost
        return Unavailable(
            f"the backend {self.name} {session.process.end} while it computed; it is started again for the next request"
        )

    async def _revived(self, session: _Session | None) -> _Session:
        """A session that is fit; one attempt for all who ask."""
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(asyncio.to_thread(self._revive, session))
            self._reviving.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._reviving)

    def _revive(self, session: _Session | None) -> _Session:
        with self._lock:
            self._refuse_closed()
            if self._session is not None and (self._session is not session or self._answers(self._session)):
                return self._session
            wait = self._again - time.monotonic()
            if self._failures and wait > 0:
                msg = (
                    f"the backend {self.name} could not be started again; the next attempt is possible in {wait:.0f} s"
                )
                raise LoadFailed(msg, retry_after=wait)
            if self._session is not None:
                _tell_end(self._session)
                self._session.end()
                self._session = None
            try:
                self._session = self._opened(again=True)
            except TextmillError as error:
                self._refuse_closed()
                self._failures += 1
                wait = self._cooldown(self._failures)
                self._again = time.monotonic() + wait
                msg = f"the backend {self.name} could not be started again: {error}"
                raise LoadFailed(msg, retry_after=wait) from error
            self._failures = 0
            return self._session

    def _answers(self, session: _Session) -> bool:
        """Whether a session that is in doubt is fit after all, its model loaded."""
        if session.process is not None and (not session.process.alive or session.process.wait(_LOOK_S)):
            return False
        try:
            session.wire.ask("Health", HealthMessage(), _HEALTH_S)
            if session.unloaded or (session.process is None and not self._has_model(session)):
                self._load(session)
        except TextmillError:
            return False
        session.doubtful = session.unloaded = False
        return True

    def _has_model(self, session: _Session) -> bool:
        """Whether what listens at an address says that it has its model; it may have been started anew."""
        try:
            return session.wire.ask("Status", HealthMessage(), _HEALTH_S).state in (BUSY, READY)
        except Unimplemented:
            return False

    def _opened(self, *, again: bool = False) -> _Session:
        self._refuse_closed()
        external, token = self._external, secrets.token_urlsafe(32)
        if external.script is None:
            self._places.take(external.address, self)
            session = _Session(Wire(self.name, external.address), None)
        else:
            address = free_address()
            process = BackendProcess(self.name, external.script, address, {**self._environ, _TOKEN: token})
            session = _Session(Wire(self.name, address, token), process)
        self._begun = session
        try:
            dialled = again and session.process is None  # who asks should hear soon that it is away
            self._wait(session, min(_DIALLED_S, self._patience.seconds) if dialled else self._patience.seconds)
            self._load(session)
        except TextmillError as error:
            self._refuse_closed_after(session)
            told = _told(session, error)
            session.end()
            self._places.leave(external.address, self)
            raise told from error
        return session

    def _wait(self, session: _Session, seconds: float) -> None:
        """Wait until it answers; raises Unavailable where it ends before, or takes too long."""
        end = time.monotonic() + seconds
        while True:
            try:
                session.wire.ask("Health", HealthMessage(), max(1.0, self._patience.sleep_s))
            except Unavailable:
                if session.process is not None and not session.process.alive:
                    raise
                if time.monotonic() > end:
                    break
            else:
                return
            if self._closed.wait(_LOOK_S):
                self._refuse_closed()
        msg = (
            f"the backend {self.name} did not answer within {seconds:.0f} s; if it needs longer, "
            "let its model file say so in grpc.attempts and grpc.attempts_sleep_time"
        )
        raise Unavailable(msg)

    def _load(self, session: _Session) -> None:
        result = session.wire.ask("LoadModel", self._options, LOAD_S)
        if not result.success:
            said = shortened(result.message) or "it does not say why"
            msg = f"the backend {self.name} did not load {self._options.Model}: {said}"
            raise ModelBroken(msg)

    def _refuse_closed(self) -> None:
        if self.closed:
            msg = f"the backend {self.name} is being closed"
            raise Unavailable(msg)

    def _refuse_closed_after(self, session: _Session) -> None:
        if self.closed:
            session.end()
            self._refuse_closed()


def _told(session: _Session, error: TextmillError) -> TextmillError:
    """The error of an opening, with how the process ended and its last words; no request's texts can be in them yet."""
    process = session.process
    if process is None:
        return error
    gone = process.wait(_END_S) if isinstance(error, Lost) else not process.alive
    words = f"; its last lines:\n{process.last_words}" if process.last_words else ""
    if isinstance(error, ModelBroken):
        return ModelBroken(f"{error}{words}")
    if not gone and not isinstance(error, Unavailable):
        return error
    return Unavailable(f"the backend {process.name} {process.end}{words}" if gone else f"{error}{words}")


def _tell_end(session: _Session) -> None:
    """Log how a session was lost; what the process wrote last is for the log alone, as it may have texts of requests in it."""
    process = session.process
    if process is None:
        _log.warning("the backend %s is lost; it is dialled again", session.wire.name)
    else:
        process.wait(_END_S)
        words = f"; its last lines:\n{process.last_words}" if process.last_words else ""
        _log.error("the backend %s %s; it is started again%s", process.name, process.end or "does not answer", words)
