"""The process of one model: started, told what to write, its answers handed on, ended when it hangs, started again when it is gone."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Protocol

import msgspec

from textmill.errors import (
    ConfigInvalid,
    ForwardFailed,
    InvalidInput,
    LoadFailed,
    ModelBroken,
    Overloaded,
    TextmillError,
    Unavailable,
)
from textmill.providers.genai.watch import LOOK_S, STILL_S, Watch, processor_seconds
from textmill.runtimes.genai_messages import (
    Add,
    Answer,
    Broken,
    Dropped,
    Failed,
    Leave,
    Open,
    Opened,
    Order,
    Refused,
    Steps,
    Wrote,
    read_frame,
    write_frame,
)

_log = logging.getLogger("textmill")

WAITING = 1024
"""Calls that a process may have."""
_RETRY_S, _COOLDOWN_S = 5.0, 5.0
_LONGEST, _LINES = 4096, 40
_END_S = 5.0
_ANSWERS = msgspec.msgpack.Decoder(Answer)


class Listener(Protocol):
    """Who is told of a call, in a thread of the process's; nothing that it does may block."""

    def wrote(self, told: Wrote) -> None:
        """A choice has more tokens."""
        ...

    def failed(self, error: TextmillError) -> None:
        """The call ends with an error."""
        ...


@dataclass(slots=True, eq=False)
class _Run:
    """One process, with the calls that it has."""

    child: subprocess.Popen[bytes]
    orders: SimpleQueue[Order | None] = field(default_factory=SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)
    calls: dict[int, Listener] = field(default_factory=dict)
    began: set[int] = field(default_factory=set)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    gone: bool = False
    hung: str = ""
    answers: int = 0
    over: threading.Event = field(default_factory=threading.Event)


class GenaiProcess:
    """OpenVINO GenAI with the model of ``asked``. ``environ`` is what the process gets, ``clock`` gives seconds.

    Every ``look_s`` it is looked at whether the process hangs, which it does after ``still_s`` of neither saying nor computing anything.
    """

    def __init__(
        self,
        name: str,
        asked: Open,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        *,
        look_s: float = LOOK_S,
        still_s: float = STILL_S,
    ) -> None:
        self.name = name
        self._asked = asked
        # What runs there is this package, wherever it is.
        here = str(Path(__file__).parents[3])
        paths = [here, *filter(None, [environ.get("PYTHONPATH")])]
        self._environ = {**environ, "PYTHONPATH": ":".join(paths), "PYTHONUNBUFFERED": "1"}
        self._clock = clock
        self._look_s = look_s
        self._still_s = still_s
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._run: _Run | None = None
        self._closed = False
        self._numbers = count(1)
        self._again = 0.0

    def open(self) -> Opened:
        """Start it, and load the model; blocks. Raises ModelBroken, ConfigInvalid, Unavailable once it is closed."""
        with self._starting:
            return self._open()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def alive(self) -> bool:
        """Whether a call can be added at once."""
        with self._lock:
            return self._run is not None and not self._run.gone

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now."""
        run = self._run
        return None if run is None or run.gone else run.child.pid

    @property
    def waiting(self) -> int:
        """Calls that have no token yet."""
        with self._lock:
            return 0 if self._run is None else len(self._run.calls) - len(self._run.began)

    @property
    def busy(self) -> bool:
        """Whether it has calls."""
        with self._lock:
            return self._run is not None and bool(self._run.calls)

    def revive(self) -> None:
        """Start it again if it is gone; blocks. Raises LoadFailed where that fails, or has failed just now."""
        with self._starting:
            if self.alive:
                return
            wait = self._again - self._clock()
            if wait > 0:
                msg = f"OpenVINO GenAI could not be started again for {self.name}; the next attempt is possible in {wait:.0f} s"
                raise LoadFailed(msg, retry_after=wait)
            try:
                self._open()
            except (ModelBroken, ConfigInvalid) as error:
                self._again = self._clock() + _COOLDOWN_S
                msg = f"OpenVINO GenAI could not be started again for {self.name}: {error}"
                raise LoadFailed(msg, retry_after=_COOLDOWN_S) from error

    def add(self, asked: Add, listener: Listener) -> int:
        """Have a call written, whose number that gives. Raises Overloaded, and Unavailable where the process is gone."""
        with self._lock:
            run = self._run
            if self._closed or run is None or run.gone:
                msg = f"{self.name} is being unloaded" if self._closed else f"the process of {self.name} is gone"
                raise Unavailable(msg)
            if len(run.calls) >= WAITING:
                msg = f"{len(run.calls)} requests wait for {self.name}, which is too many; try again in some seconds"
                raise Overloaded(msg, retry_after=_RETRY_S)
            number = next(self._numbers)
            run.calls[number] = listener
            run.orders.put(msgspec.structs.replace(asked, call=number))
            return number

    def leave(self, call: int, choice: int | None = None) -> None:
        """Let go of a choice within a token, or of the whole call; any thread, and again."""
        with self._lock:
            run = self._run
            if run is None or call not in run.calls:
                return
            if choice is None:
                del run.calls[call]
                run.began.discard(call)
            run.orders.put(Leave(call, choice))

    def close(self) -> None:
        """End it, and what it writes; blocks. Any thread may call it, and again."""
        with self._lock:
            self._closed = True
            run, self._run = self._run, None
        if run is not None:
            self._end(run, Unavailable(f"{self.name} is being unloaded"))

    def _open(self) -> Opened:
        run = self._started()
        opened = self._loaded(run)
        with self._lock:
            if not self._closed:
                self._run = run
        if self._closed:
            self._end(run, None)
            _pipe(run.child.stdout).close()
            msg = f"{self.name} is being unloaded"
            raise Unavailable(msg)
        self._begin(run, self._hear)
        self._begin(run, self._watch)
        return opened

    def _begin(self, run: _Run, target: Callable[[_Run], None]) -> None:
        name = f"textmill-{self.name}{target.__name__.replace('_', '-')}"
        run.threads.append(threading.Thread(target=target, args=(run,), name=name, daemon=True))
        run.threads[-1].start()

    def _started(self) -> _Run:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "textmill.runtimes.genai_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environ,
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it in its turn
            )
        except OSError as error:
            msg = f"no process can be started for {self.name}: {error.strerror}"
            raise ModelBroken(msg) from error
        run = _Run(child)
        for target in (self._say, self._keep):
            self._begin(run, target)
        run.orders.put(self._asked)
        return run

    def _loaded(self, run: _Run) -> Opened:
        answers, frame = _pipe(run.child.stdout), None
        with suppress(OSError, ValueError):
            frame = read_frame(answers)
        told = None if frame is None else _ANSWERS.decode(frame)
        if isinstance(told, Opened):
            return told
        self._end(run, None)
        answers.close()
        if isinstance(told, Failed):
            raise (ConfigInvalid if told.asked else ModelBroken)(told.reason)
        msg = f"OpenVINO GenAI does not load {self.name}: its process {_how(run.child)}{_last(run)}"
        raise ModelBroken(msg)

    def _say(self, run: _Run) -> None:
        """Write orders as they come; a pipe that is full holds up nobody else."""
        with suppress(OSError, ValueError), _pipe(run.child.stdin) as stream:
            while (order := run.orders.get()) is not None:
                write_frame(stream, order)

    def _hear(self, run: _Run) -> None:
        """Hand on answers up to the end of the process, and then what that means."""
        reason = ""
        with suppress(OSError, ValueError, msgspec.MsgspecError), _pipe(run.child.stdout) as stream:
            while (frame := read_frame(stream)) is not None:
                told = _ANSWERS.decode(frame)
                run.answers += 1
                if isinstance(told, Broken):
                    reason = told.reason
                elif isinstance(told, Steps):
                    for event in told.events:
                        self._hand_on(run, event)
        with suppress(subprocess.TimeoutExpired):
            run.child.wait(_END_S)
        how = f"failed while it wrote: {reason}" if reason else run.hung or f"{_how(run.child)} while it wrote"
        error = ForwardFailed if reason else Unavailable
        with self._lock:
            ours = self._run is run
        if ours and not run.hung:
            _log.error("OpenVINO GenAI with %s %s; it is started again%s", self.name, how, _last(run))
        self._end(run, error(f"OpenVINO GenAI with {self.name} {how}; it is started again for the next request"))

    def _watch(self, run: _Run) -> None:
        """Look again and again; end a process that hangs, which `_hear` then hears."""
        watch = Watch(lambda: processor_seconds(run.child.pid), self._still_s)
        before = self._clock()
        while not run.over.wait(self._look_s):
            now = self._clock()
            # Where this process was stopped too, the time of that says nothing.
            passed, before = min(now - before, 2 * self._look_s), now
            with self._lock:
                run.hung = watch.look(passed, busy=bool(run.calls), answers=run.answers)
                run.gone = run.gone or bool(run.hung)
            if run.hung:
                _log.error("OpenVINO GenAI with %s %s; it is ended", self.name, run.hung)
                run.child.kill()
                return

    def _hand_on(self, run: _Run, event: Wrote | Refused | Dropped) -> None:
        with self._lock:
            listener = run.calls.get(event.call)
            if isinstance(event, Wrote):
                run.began.add(event.call) if listener is not None else None
            else:
                run.calls.pop(event.call, None)
                run.began.discard(event.call)
        if listener is None:
            return
        if isinstance(event, Wrote):
            try:
                listener.wrote(event)
            except Exception as error:  # noqa: BLE001 - logged; who waits is told
                _log.exception("what %s wrote could not be read; that call ends", self.name)
                self.leave(event.call)
                self._fail(listener, ForwardFailed(f"what {self.name} wrote could not be read: {error}"))
        elif isinstance(event, Refused):
            self._fail(listener, InvalidInput(event.reason, param=event.param))
        else:
            self._fail(listener, ForwardFailed(event.reason))

    def _fail(self, listener: Listener, error: TextmillError) -> None:
        try:
            listener.failed(error)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a call of %s could not be told of its end", self.name)

    def _end(self, run: _Run, error: TextmillError | None) -> None:
        """End a process, and tell all who wait for it."""
        with self._lock:
            run.gone = True
            run.over.set()
            listeners = list(run.calls.values())
            run.calls.clear()
            run.began.clear()
        run.orders.put(None)
        run.child.kill()
        with suppress(subprocess.TimeoutExpired):
            run.child.wait(_END_S)
        for thread in run.threads:
            if thread is not threading.current_thread():
                thread.join(_END_S)
        for listener in listeners:
            if error is not None:
                self._fail(listener, error)

    def _keep(self, run: _Run) -> None:
        """Keep what it writes; it may have texts of requests in it, so the log has it at the lowest level only."""
        with suppress(OSError, ValueError), _pipe(run.child.stderr) as stream:
            while line := stream.readline(_LONGEST):
                if text := line.decode(errors="replace").rstrip():
                    run.lines.append(text)
                    _log.debug("%s: %s", self.name, text)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A pipe of a process, which has all of them."""
    if stream is None:
        raise ValueError
    return stream


def _how(child: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    code = child.poll()
    with suppress(ValueError):
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"was ended by {name}" + (", as the system does where memory runs out" if name == "SIGKILL" else "")
    return "has closed its end" if code is None else f"ended with exit code {code}"


def _last(run: _Run) -> str:
    return f"; its last line: {run.lines[-1]}" if run.lines else ""
