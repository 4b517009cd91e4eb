"""Fetching what a model file names before its model loads: the weights from a URI, and the files that it has downloaded."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Protocol

from textmill.errors import DownloadFailed
from textmill.folder.model import ModelFile
from textmill.gallery.entry import File
from textmill.gallery.logged import Logged
from textmill.gallery.progress import Report
from textmill.gallery.repository import bar_of
from textmill.gallery.stop import Stop

_log = logging.getLogger("textmill")


class Fetches(Protocol):
    """What fetches a file into the models folder; `textmill.gallery.gallery.Gallery` is one."""

    folder: Path

    def fetch(self, file: File, report: Report, stop: Stop) -> Path:
        """The file, under its name in the folder."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class Fetching:
    """Fetches for one server, with lines in its log, until the server ends; what came so far is resumed by the next."""

    def __init__(self, gallery: Fetches, report: Report | None = None) -> None:
        self._gallery = gallery
        self._report = report or Logged(_log)
        self._stop = Stop()

    def fetch(self, file: ModelFile) -> bool:
        """Get all that the model file names and that is not there yet; false where nothing was missing. Blocks.

        Raises what `textmill.gallery.gallery.Gallery.fetch` does.
        """
        files = wanted(file, self._gallery.folder)
        missing = [each for each in files if not (self._gallery.folder / each.filename).exists()]
        if missing:
            _log.info("%s: fetching %s", file.name, ", ".join(each.filename for each in missing))
        for each in files:
            try:
                self._gallery.fetch(each, self._report, self._stop)
            except DownloadFailed as error:
                if each in missing:
                    raise
                # In a folder that may only be read, what is there cannot be checked against what is known of it.
                _log.warning("%s: %s is taken as it is: %s", file.name, each.filename, error)
        return bool(missing)

    def bar(self, name: str) -> type[Any]:
        """What huggingface_hub is to tell of a repository's files, for the model of that name."""
        return bar_of(name, self._report, self._stop)

    async def until_the_end(self) -> None:
        """Stop what is being fetched when this is cancelled: the process must not wait for it."""
        try:
            await asyncio.Event().wait()
        finally:
            self._stop.set()
            self._gallery.close()


def wanted(file: ModelFile, folder: Path) -> tuple[File, ...]:
    """The files that a model file names, each once, with where it comes from; its weights last."""
    files = {
        each.filename: File(filename=each.filename, uri=each.uri, sha256=each.sha256 or "")
        for each in file.fields.download_files or ()
        if each.filename and each.uri
    }
    place = file.location
    if place.path is not None and place.uri:
        name = place.path.relative_to(folder.absolute()).as_posix()
        files.setdefault(name, File(filename=name, uri=place.uri))
    return tuple(files.values())
