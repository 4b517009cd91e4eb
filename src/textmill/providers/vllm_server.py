"""``vllm serve`` for one model: started, waited for, started again when it ends, ended with us."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textmill.errors import ExtraMissing, LoadFailed, ModelBroken, TextmillError, Unavailable
from textmill.providers.openai_wire import Patience, Target, Wire
from textmill.providers.process import Process, free_address

_log = logging.getLogger("textmill")

START_S = 3600.0
"""How long vLLM may take to be up: it downloads weights and compiles."""
_LOOK_S, _TELL_S, _HEALTH_S = 0.2, 15.0, 5.0
_GRACE_S = 10.0
_STEADY_S = 120.0
"""After so long up, the next end is the first again."""
_KEY = "VLLM_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start: ``command`` without where it listens, in the environment ``environ``, for at most ``start_s`` seconds until it is up."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    start_s: float = START_S


def find_vllm(environ: Mapping[str, str]) -> str:
    """The program: on the PATH, or beside this Python. Raises ExtraMissing, with the pip command, where it is not installed."""
    found = shutil.which("vllm", path=environ.get("PATH", "")) or shutil.which(
        "vllm", path=str(Path(sys.executable).parent)
    )
    if found is None:
        msg = (
            "backend vllm needs vLLM, which is not installed; install it with: pip install vllm, here or in an environment of its own "
            "whose vllm is on the PATH"
        )
        raise ExtraMissing(msg)
    return found


class VllmServer:
    """A running ``vllm serve``; a `textmill.providers.remote_model.Server`.

    When its process ends by itself, it is started again at once, after 1 second the next time, then 2, 4 … up to 5 minutes; calls
    meanwhile wait for a start under way, and are refused while the next one is not due.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        back_off: Callable[[int], float] = lambda ends: 0.0 if ends < 2 else min(300.0, 2.0 ** (ends - 2)),  # noqa: PLR2004
    ) -> None:
        self._launch = launch
        self._back_off = back_off
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._up: Future[Wire] = Future()
        self._due = 0.0
        self._watcher = threading.Thread(target=self._watch, name=f"textmill-{launch.name}-watch", daemon=True)

    def open(self) -> dict[str, Any]:
        """Start it and wait until it is up; blocks. What it says of its model.

        Raises ModelBroken with the last lines where it ends before, Unavailable where it takes too long or is closed.
        """
        wire, told = self._started()
        self._up.set_result(wire)
        self._watcher.start()
        return told

    @property
    def ready(self) -> bool:
        """Whether it is up."""
        up = self._up
        return not self._closed.is_set() and up.done() and up.exception() is None

    async def wire(self) -> Wire:
        """The way to it. Raises LoadFailed while it is not to be started again yet, Unavailable once it is closed."""
        up = self._up
        if not up.done() and (wait := self._due - time.monotonic()) > 0:
            raise self._later(wait)
        return up.result() if up.done() else await asyncio.shield(asyncio.wrap_future(up))

    def close(self) -> None:
        """End it; blocks. Any thread may call it, and again."""
        self._closed.set()
        with self._lock:
            process, up = self._process, self._up
            if up.done() and up.exception() is None:
                up.result().close_soon()
            elif not up.done():
                up.set_exception(self._closing())
        if process is not None:
            process.stop()
        if self._watcher.ident is not None and threading.current_thread() is not self._watcher:
            self._watcher.join(_GRACE_S)

    def _watch(self) -> None:
        """Start it again whenever it ends."""
        ends, began = 0, time.monotonic()
        while not self._closed.is_set():
            process = self._process
            if process is not None:
                process.wait(None)
            if self._closed.is_set():
                return
            ends = 1 if time.monotonic() - began > _STEADY_S else ends + 1
            wait = self._back_off(ends)
            self._lost(process, wait)
            if self._closed.wait(wait):
                return
            with suppress(TextmillError):  # told in the log; the next turn tries again
                self._again()
            began = time.monotonic()

    def _lost(self, process: Process | None, wait: float) -> None:
        """Have calls wait from now on."""
        with self._lock:
            up, self._up, self._due = self._up, Future(), time.monotonic() + wait
        if not up.done():
            up.set_exception(self._later(wait))
        elif up.exception() is None:
            up.result().close_soon()
        if process is not None:
            process.stop()  # closes what leads to it
            # What it wrote last may have texts of requests in it, so it is for the log alone.
            _log.error("vLLM with %s %s; its last lines:\n%s", self._launch.name, process.end, process.last_words)
        _log.info("vLLM with %s is started again in %.0f s", self._launch.name, wait)

    def _again(self) -> None:
        try:
            wire, _ = self._started()
        except TextmillError as error:
            _log.error("vLLM with %s could not be started again: %s", self._launch.name, error)
            raise
        with self._lock:
            if self._closed.is_set():
                wire.close_soon()
                return
            self._up.set_result(wire)
        _log.info("vLLM with %s is up again", self._launch.name)

    def _started(self) -> tuple[Wire, dict[str, Any]]:
        """The way to a process that is up, and what it says of its model."""
        launch, key = self._launch, secrets.token_urlsafe(32)
        address = free_address()
        host, _, port = address.partition(":")
        command = [*launch.command, f"--host={host}", f"--port={port}"]
        with self._lock:
            if self._closed.is_set():
                raise self._closing()
            environ = {**launch.environ, _KEY: key}
            process = self._process = Process(
                f"vllm {launch.name}", command, environ, grace_s=_GRACE_S, level=logging.INFO
            )
        target = Target(base_url=f"http://{address}/v1", name=f"vLLM with {launch.name}", key=key, key_setting=_KEY)
        try:
            self._wait(process, target)
            told = asyncio.run(_model_of(target, launch.name))
        except TextmillError:
            process.stop()
            raise
        process.level = logging.DEBUG  # from now on it sees texts of requests
        return Wire(target), told

    def _wait(self, process: Process, target: Target) -> None:
        """Wait until it answers. Raises ModelBroken where it ends before, Unavailable where it takes too long."""
        began = told = time.monotonic()
        while not asyncio.run(_is_healthy(target)):
            if process.wait(_LOOK_S):
                if self._closed.is_set():
                    raise self._closing()
                msg = f"vLLM with {self._launch.name} {process.end} while it loaded; its last lines:\n{process.last_words}"
                raise ModelBroken(msg)
            now = time.monotonic()
            if now - began > self._launch.start_s:
                msg = (
                    f"vLLM with {self._launch.name} was not up within {self._launch.start_s:.0f} s; if it needs longer, let its model "
                    f"file say so in grpc.attempts and grpc.attempts_sleep_time; its last lines:\n{process.last_words}"
                )
                raise Unavailable(msg)
            if now - told > _TELL_S:
                told = now
                _log.info("vLLM with %s has been loading for %.0f s", self._launch.name, now - began)

    def _later(self, wait: float) -> LoadFailed:
        msg = f"vLLM with {self._launch.name} has ended again and again; it is started again in {wait:.0f} s"
        return LoadFailed(msg, retry_after=max(wait, 1.0))

    def _closing(self) -> Unavailable:
        return Unavailable(f"vLLM with {self._launch.name} is being closed")


async def _is_healthy(target: Target) -> bool:
    quick = Target(base_url=target.base_url, patience=Patience(connect_s=_HEALTH_S, read_s=_HEALTH_S), idle=0)
    async with Wire(quick) as wire:
        try:
            await wire.get_root("/health")
        except TextmillError:
            return False
    return True


async def _model_of(target: Target, name: str) -> dict[str, Any]:
    """What it says of the model: also that what listens there is what was started, as it takes the key and has the name."""
    async with Wire(target) as wire:
        told = await wire.get("/models")
    models = told.get("data") if isinstance(told, dict) else None
    found = next((each for each in models or () if isinstance(each, dict) and each.get("id") == name), None)
    if found is None:
        msg = f"what was started as vLLM does not have {name}"
        raise ModelBroken(msg)
    return found
