"""Trying again what is worth it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from textmill.errors import DownloadFailed
from textmill.gallery.access import Patience
from textmill.gallery.stop import Stop

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Interrupted(Exception):
    """An attempt failed in a way that may pass. ``retry_after`` is the server's wish, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def patiently(
    attempt: Callable[[], T],
    *,
    patience: Patience,
    stop: Stop,
    what: str,
    progress: Callable[[], int] = lambda: 0,
    advice: str = "try again later",
) -> T:
    """The result of ``attempt``, made again after `Interrupted`; attempts that bring ``progress`` forward do not count.

    Raises DownloadFailed with the last reason when the patience is at an end, CancelledError when stopped.
    """
    failures, reached = 0, progress()
    while True:
        stop.check()
        try:
            return attempt()
        except Interrupted as error:
            stop.check()
            now = progress()
            failures = 1 if now > reached else failures + 1
            reached = max(reached, now)
            if failures >= patience.attempts:
                msg = f"{what} failed {failures} times: {error}; {advice}"
                raise DownloadFailed(msg) from error
            pause = _pause(failures, error.retry_after, patience)
            _log.info("%s: %s; it is tried again in %.0f s", what, error, pause)
            stop.wait(pause)


def _pause(failures: int, asked: float | None, patience: Patience) -> float:
    wait: float = patience.first_wait * 2.0 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - to spread, not to hide
    return min(max(wait, asked or 0.0), patience.longest_wait)
