"""Warms a runtime up step by step: the first at once, the others in idle moments."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from threading import Event

from textmill.errors import ForwardFailed, TextmillError
from textmill.runtimes.runtime import Runtime

_log = logging.getLogger(__name__)


class Warming:
    """A runtime's warm-up in progress. The engine's thread steps; others look and wait."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._steps: Iterator[str] | None = None
        self._ended = Event()
        self._complete = False

    @property
    def ended(self) -> bool:
        """Whether no step is left: all are done, one failed, or warming was stopped."""
        return self._ended.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until warming ends; whether it is complete then."""
        self._ended.wait(timeout)
        return self._complete

    def begin(self) -> None:
        """Take the first step, which makes the runtime usable.

        Raises the runtime's own textmill error, or ForwardFailed for any other.
        """
        try:
            self._steps = iter(self._runtime.warm_up())
            self._advance(self._steps)
        except TextmillError:
            raise
        except Exception as error:
            msg = f"the runtime failed at its first warm-up step: {error}"
            raise ForwardFailed(msg) from error

    def step(self) -> None:
        """Take the next step; one that fails is logged and is the last, since the runtime works without it."""
        steps = self._steps  # `stop` may come from another thread at any time
        if steps is None:
            return
        try:
            self._advance(steps)
        except Exception:  # noqa: BLE001 - logged; calls are answered without it
            _log.exception("a warm-up step failed; answers stay right, but some shapes may be slow at first")
            self.stop()

    def stop(self) -> None:
        """Take no further step."""
        self._steps = None
        self._ended.set()

    def _advance(self, steps: Iterator[str]) -> None:
        name = next(steps, None)
        if name is None:
            self._complete = True
            self.stop()
        else:
            _log.debug("warmed up: %s", name)
