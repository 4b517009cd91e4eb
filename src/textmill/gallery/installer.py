"""A gallery and its jobs as one thing: what a server needs to install and delete models while it runs."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import msgspec

from textmill.config import without_users
from textmill.errors import Unavailable
from textmill.gallery.access import shown
from textmill.gallery.entry import Entry, Source
from textmill.gallery.gallery import Available, Gallery
from textmill.gallery.install import Installed
from textmill.gallery.jobs import Jobs
from textmill.gallery.progress import Report
from textmill.gallery.record import Record
from textmill.gallery.stop import Stop
from textmill.gallery.wish import Wish

_QUERY = re.compile(r"""(https?://[^\s"'?#]*)[?#][^\s"']*""", re.IGNORECASE)
"""An address within a text, with its query."""
_log = logging.getLogger(__name__)

Told = Callable[[Collection[str]], None]
"""Is told of files that have come whole or have gone, by their paths below the models folder, before their job ends; may block."""


class Installer:
    """Installs into a models folder by jobs. Safe for threads; what it shows has no secret of an address."""

    def __init__(self, gallery: Gallery, told: Told) -> None:
        self._gallery = gallery
        self._told = told
        self._jobs = Jobs(self._carry_out, gallery.folder)
        self._warned: set[str] = set()
        self._stop = Stop()

    @property
    def sources(self) -> Sequence[Source]:
        """The galleries."""
        return [_shown_source(source) for source in self._gallery.sources]

    def available(self) -> Sequence[Available]:
        """All entries of all galleries; what is wrong with some is logged once.

        Blocks, and may ask the network. Raises Unavailable where the server ends meanwhile.
        """
        try:
            entries, problems = self._gallery.available(self._stop)
        except CancelledError:
            msg = "the server is shutting down"
            raise Unavailable(msg) from None
        for sentence in (problem.sentence for problem in problems):
            if sentence not in self._warned:
                self._warned.add(sentence)
                _log.warning("%s", sentence)
        return [Available(_shown_entry(each.entry), each.installed) for each in entries]

    def submit(self, wish: Wish) -> str:
        """Begin a wish; its job's id. Raises InvalidInput for a wish that cannot be one, Overloaded where too many wait. Blocks."""
        return self._jobs.submit(wish)

    def record(self, key: str) -> Record:
        """How a job is; raises ModelNotFound for an unknown id."""
        return self._jobs.record(key)

    def records(self) -> Mapping[str, Record]:
        """All jobs that are known, in their order."""
        return self._jobs.records()

    def cancel(self, key: str) -> Record:
        """Stop a job that has not ended; raises ModelNotFound. Blocks for a moment."""
        return self._jobs.cancel(key)

    def resume(self) -> None:
        """Take up the jobs that an earlier process has not ended. Blocks."""
        if again := self._jobs.resume():
            _log.info("unfinished jobs of an earlier process go on: %d", len(again))

    def close(self) -> None:
        """Stop what runs, for the next process to take up. Blocks."""
        self._stop.set()
        self._jobs.close()
        self._gallery.close()

    def _carry_out(self, wish: Wish, report: Report, stop: Stop) -> None:
        done = self._gallery.carry_out(wish, report, stop)
        if isinstance(done, Installed):
            self._told([_below(path, self._gallery.folder) for path in (done.config, *done.files)])
        else:
            self._told(done.files)


def _below(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)


def _shown_entry(entry: Entry) -> Entry:
    files = tuple(msgspec.structs.replace(file, uri=shown(file.uri)) for file in entry.files)
    gallery = None if entry.gallery is None else _shown_source(entry.gallery)
    return msgspec.structs.replace(
        entry,
        url=shown(entry.url),
        urls=tuple(map(shown, entry.urls)),
        icon=shown(entry.icon),
        files=files,
        overrides=_shown_values(entry.overrides),
        gallery=gallery,
    )


def _shown_values(value: Any) -> Any:
    """What a model file is to have, with its addresses without secrets, also those within a text."""
    if isinstance(value, str):
        whole = "://" in value and len(value.split()) == 1
        return shown(value) if whole else _QUERY.sub(r"\1", without_users(value, ""))
    if isinstance(value, Mapping):
        return {_shown_values(key): _shown_values(each) for key, each in value.items()}
    return list(map(_shown_values, value)) if isinstance(value, list) else value


def _shown_source(source: Source) -> Source:
    return Source(source.name, shown(source.url), tuple(map(shown, source.mirrors)))
