"""The galleries: their indexes, fetched when asked for, kept for an hour, and looked up by name."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from textmill.errors import InvalidInput, ModelNotFound, TextmillError
from textmill.gallery.access import shown
from textmill.gallery.entry import Entry, Source, read_entry
from textmill.gallery.files import write_whole
from textmill.gallery.reader import Reader
from textmill.gallery.stop import Stop
from textmill.gallery.yamltext import read_yaml

FRESH = 3600.0
REST = 600.0
LARGEST = 32 << 20
_MOST_VALUES = 5_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a gallery that cannot be used; the rest can."""

    gallery: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The entries of galleries, in their order, and what is wrong with some."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """About a kept copy of an index: when it was fetched or found unchanged, its ETag, its hash."""

    fetched: float
    sha256: str
    etag: str = ""


class Index:
    """Galleries in the operator's order. Safe for threads; a gallery is fetched by one at a time.

    Copies are kept in ``folder``, so that a gallery that cannot be reached is as it was last.
    """

    def __init__(
        self, sources: Sequence[Source], reader: Reader, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self.sources = tuple(sources)
        self._galleries = [_Gallery(source, reader, folder, clock) for source in sources]

    def catalogue(self, stop: Stop | None = None) -> Catalogue:
        """All entries. A gallery that cannot be reached and has no copy is one problem."""
        found = [gallery.read(stop or Stop()) for gallery in self._galleries]
        return Catalogue(
            tuple(entry for each in found for entry in each.entries),
            tuple(problem for each in found for problem in each.problems),
        )

    def find(self, name: str, stop: Stop | None = None) -> Entry:
        """The entry called ``name`` or ``gallery@name``, whatever its case and with ``/`` or ``__``; the first gallery wins.

        Raises ModelNotFound, with near names, or with why the galleries could not be read.
        """
        catalogue = self.catalogue(stop)
        gallery, separator, rest = name.partition("@")
        wanted = {_key(name): ""}
        if separator and gallery.lower() in {source.name.lower() for source in self.sources}:
            wanted[_key(rest)] = gallery.lower()
        for entry in catalogue.entries:
            held = wanted.get(_key(entry.name))
            if held is not None and held in ("", entry.gallery.name.lower() if entry.gallery else ""):
                return entry
        raise ModelNotFound(_unknown(name, catalogue, self.sources))


class _Gallery:
    """One gallery and its copy on disk."""

    def __init__(self, source: Source, reader: Reader, folder: Path, clock: Callable[[], float]) -> None:
        self._source = source
        self._reader = reader
        self._clock = clock
        key = hashlib.sha256(source.url.encode()).hexdigest()[:16]
        self._copy = folder / f"{key}.yaml"
        self._note = folder / f"{key}.json"
        self._resting: dict[str, float] = {}
        self._lock = threading.Lock()
        self._known: tuple[str, Catalogue] | None = None
        self._until = float("-inf")

    def read(self, stop: Stop) -> Catalogue:
        with self._lock:
            if self._known is not None and self._clock() < self._until:
                return self._known[1]
            return self._refresh(stop)

    def _refresh(self, stop: Stop) -> Catalogue:
        note, copy = self._kept()
        if note is not None and copy is not None and 0 <= self._clock() - note.fetched < FRESH:
            return self._use(copy, note.fetched + FRESH)
        reasons = []
        for url in (self._source.url, *self._source.mirrors):
            if self._clock() < self._resting.get(url, float("-inf")):
                continue
            try:
                return self._fetch(url, note, copy, stop)
            except (TextmillError, OSError) as error:
                self._resting[url] = self._clock() + REST
                reasons.append(str(error))
        return self._without_network(copy, reasons)

    def _fetch(self, url: str, note: _Note | None, copy: bytes | None, stop: Stop) -> Catalogue:
        # Only the gallery's own address gave the ETag.
        etag = note.etag if note is not None and copy is not None and url == self._source.url else ""
        document = self._reader.read(url, limit=LARGEST, stop=stop, etag=etag)
        data = copy if document.unchanged and copy is not None else document.data
        catalogue = self._use(data, self._clock() + FRESH)
        kept = _Note(
            fetched=self._clock(),
            sha256=hashlib.sha256(data).hexdigest(),
            etag=document.etag if url == self._source.url else "",
        )
        if data is not copy:
            write_whole(self._copy, data)
        write_whole(self._note, msgspec.json.encode(kept))
        return catalogue

    def _use(self, data: bytes, until: float) -> Catalogue:
        """Read an index, unless it is the one that was read last."""
        digest = hashlib.sha256(data).hexdigest()
        if self._known is None or self._known[0] != digest:
            self._known = (digest, read_index(data, self._source))
        self._until = until
        return self._known[1]

    def _without_network(self, copy: bytes | None, reasons: Sequence[str]) -> Catalogue:
        """The copy, or nothing, until the sources have rested."""
        self._until = self._clock() + REST
        why = "; ".join(reasons) or "its sources failed a short while ago and rest"
        if copy is not None:
            known = self._use(copy, self._until)
            note = Problem(self._source.name, f"the gallery {self._source.name} is read from an old copy: {why}")
            result = Catalogue(known.entries, (*known.problems, note))
        else:
            note = Problem(self._source.name, f"the gallery {self._source.name} cannot be read: {why}")
            result = Catalogue((), (note,))
        self._known = ("", result)
        return result

    def _kept(self) -> tuple[_Note | None, bytes | None]:
        """The copy and its note; neither where they do not belong together."""
        try:
            note, copy = msgspec.json.decode(self._note.read_bytes(), type=_Note), self._copy.read_bytes()
        except (OSError, msgspec.DecodeError):
            return None, None
        return (note, copy) if hashlib.sha256(copy).hexdigest() == note.sha256 else (None, None)


def read_index(data: bytes, source: Source) -> Catalogue:
    """The entries of an index; a broken one is a problem and stops no other. Raises InvalidInput for what is no index."""
    what = f"the index of {source.name}"
    document = read_yaml(data, what, most=_MOST_VALUES)
    if not isinstance(document, list):
        msg = f"{what} ({shown(source.url)}) is not a list of models"
        raise InvalidInput(msg)
    entries, problems = list[Entry](), list[Problem]()
    for number, raw in enumerate(document, 1):
        try:
            entries.append(read_entry(raw, _called(raw, number, what), source))
        except InvalidInput as error:
            problems.append(Problem(source.name, str(error)))
    return Catalogue(tuple(entries), tuple(problems))


def _called(raw: Any, number: int, what: str) -> str:
    name = raw.get("name") if isinstance(raw, dict) else None
    return f"entry {number} ({name}) of {what}" if name else f"entry {number} of {what}"


def _key(name: str) -> str:
    return name.replace("/", "__").casefold()


def _unknown(name: str, catalogue: Catalogue, sources: Sequence[Source]) -> str:
    name = shown(name)  # whoever takes an address for a name need not read its password in a log
    if not sources:
        return f"no gallery is configured, so there is no model {name!r} to install; name a gallery or give the model's URI"
    import difflib  # noqa: PLC0415 - for the rare mistake only

    near = difflib.get_close_matches(
        _key(name.rpartition("@")[2]), {_key(each.name): each for each in catalogue.entries}, 3
    )
    hint = f"near names are {', '.join(near)}" if near else f"they have {len(catalogue.entries):,} others"
    failed = "".join(f". {sentence}" for sentence in _failed(catalogue))
    return f"no gallery has a model {name!r}; {hint}{failed}"


def _failed(catalogue: Catalogue) -> Iterator[str]:
    """Why galleries could not be read."""
    return (each.sentence for each in catalogue.problems if each.sentence.startswith("the gallery"))
