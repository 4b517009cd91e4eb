"""A URL becomes a file: resumed, verified, and under its name only when it is whole."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from textmill.errors import DownloadFailed, ModelBroken
from textmill.gallery.access import shown
from textmill.gallery.body import Body, WrongRange, read_head
from textmill.gallery.ledger import Ledger
from textmill.gallery.lock import exclusive
from textmill.gallery.part import Origin, Part
from textmill.gallery.progress import Meter, Report, silent
from textmill.gallery.retry import Interrupted, patiently
from textmill.gallery.stop import Stop
from textmill.gallery.web import Answer, Web

RESERVE = 64 << 20
"""Bytes that a download leaves free on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A file to fetch: ``url`` to ``target``, with its ``sha256`` in hex and exact ``size`` where they are known.

    ``origin`` names the file whatever mirror or signature the URL has. ``headers`` go with the request; ``replace`` allows another
    file of that name to give way. ``state`` is a folder that all who may write the target share, for locks and the ledger.
    """

    url: str
    origin: str
    target: Path
    state: Path
    sha256: str | None = None
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file. ``new`` says whether it was transferred now; ``sha256`` is empty for one that a person has put there."""

    path: Path
    size: int
    sha256: str
    new: bool


def ledger_in(state: Path) -> Ledger:
    """The ledger of a folder for state."""
    return Ledger(state / "files")


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written to the folder's disk."""
    return shutil.disk_usage(folder).free


def download(
    order: Order,
    web: Web,
    *,
    report: Report = silent,
    stop: Stop | None = None,
    free: Callable[[Path], int] = free_bytes,
) -> Fetched:
    """Fetch a file, or find it there. Whoever comes second waits and finds it done; a broken transfer is resumed.

    Raises:
        ModelNotFound: the server has no such file, or does not give it to us.
        ModelBroken: what it gives is not what it should be; nothing is kept of it.
        InvalidInput: the URL is refused, or another file has the target's name.
        DownloadFailed: the network, the server or the disk fails; what came so far is kept for the next time.
        CancelledError: ``stop`` was set; what came so far is kept.
    """
    stop = stop or Stop()
    order.target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(order, web, report, stop, free)
    with exclusive(order.target, order.state, transfer.waiting), disk_faults(order.target):
        return transfer.run()


class _Transfer:
    """One download under its lock."""

    def __init__(self, order: Order, web: Web, report: Report, stop: Stop, free: Callable[[Path], int]) -> None:
        self._order = order
        self._web = web
        self._stop = stop
        self._free = free
        self._part = Part(order.target)
        self._meter = Meter(order.target.name, report)
        self._sha256 = order.sha256.lower() if order.sha256 else None
        self._size = order.size
        self._ranges = True
        self._total: int | None = order.size

    def waiting(self) -> None:
        """Tell how far the other holder of the lock is."""
        self._stop.check()
        origin = self._part.origin()
        self._meter.phase("waiting", self._part.size(), origin.total if origin else None)

    def run(self) -> Fetched:
        order, ledger = self._order, ledger_in(self._order.state)
        there = ledger.has(order.target, order.origin, self._sha256, replace=order.replace, stop=self._stop)
        if there is not None:
            self._part.discard()
            return Fetched(order.target, order.target.stat().st_size, there, new=False)
        had = self._part.size() > 0
        attempts = self._transfer()
        matches = self._matches()
        if not matches and (had or attempts > 1):
            # The file may have changed between two of its pieces; as one piece it gets one more chance.
            self._part.discard()
            self._transfer()
            matches = self._matches()
        if not matches:
            found = self._part.sha256(self._stop.check)
            self._part.discard()
            raise ModelBroken(_mismatch(order, self._sha256, found))
        size, digest = self._part.size(), self._part.sha256(self._stop.check)
        self._part.finish()
        ledger.note(order.target, order.origin, digest)
        self._meter.phase("done", size, size)
        return Fetched(order.target, size, digest, new=True)

    def _matches(self) -> bool:
        self._meter.phase("verifying", self._part.size(), self._total)
        return self._sha256 is None or self._part.sha256(self._stop.check) == self._sha256

    def _transfer(self) -> int:
        """Get all bytes into the part; the number of attempts that took."""
        attempts = 0

        def attempt() -> None:
            nonlocal attempts
            attempts += 1
            self._attempt()

        patience = self._web.access.patience
        what = f"the download of {shown(self._order.url)}"
        advice = "try again later, what came so far is kept"
        patiently(attempt, patience=patience, stop=self._stop, what=what, progress=self._part.size, advice=advice)
        return attempts

    def _attempt(self) -> None:
        headers, have = self._resumption()
        with self._web.stream(self._order.url, {**self._order.headers, **headers}, self._stop) as answer:
            body = self._head(answer, have)
            if body is None:
                # Nothing is missing, or what is there is of no use: the whole size tells.
                self._settle(have, answer.headers.get("content-range", ""))
                return
            self._ranges = self._ranges and body.ranges
            self._learn(body)
            self._room(body)
            origin = Origin(url=self._order.url, validator=body.validator, total=body.total, sha256=self._sha256)
            self._part.begin(origin, body.start, self._stop.check)
            self._write(body)
        due = body.total if self._total is None else self._total
        if due is not None and self._part.size() < due:
            msg = f"the connection ended at byte {self._part.size():,} of {due:,}"
            raise Interrupted(msg)

    def _head(self, answer: Answer, have: int) -> Body | None:
        try:
            return read_head(answer, self._order.url, have)
        except WrongRange:
            self._ranges = False
            raise

    def _resumption(self) -> tuple[dict[str, str], int]:
        """Headers that ask for the rest of what is there, and how much that is; nothing where it cannot be trusted."""
        have, origin = self._part.size(), self._part.origin()
        if not have or origin is None or not self._ranges:
            return {}, 0
        headers = {"Range": f"bytes={have}-"}
        if origin.validator is not None and origin.url == self._order.url:
            return {**headers, "If-Range": origin.validator}, have
        # From another mirror, or of a server without ETags: the hash will tell.
        due = self._sha256 is not None and origin.sha256 == self._sha256
        return (headers, have) if due else ({}, 0)

    def _settle(self, have: int, content_range: str) -> None:
        total = content_range.rpartition("/")[2]
        if total.isdigit() and int(total) == have:
            return
        self._part.discard()
        msg = "the server has no bytes where ours end"
        raise Interrupted(msg)

    def _learn(self, body: Body) -> None:
        """Take what the hub says about the file; it must not contradict what the order says."""
        if body.hub_sha256 and self._sha256 and body.hub_sha256 != self._sha256:
            self._part.discard()
            raise ModelBroken(_outdated(self._order, self._sha256, body.hub_sha256))
        self._sha256 = self._sha256 or body.hub_sha256
        self._size = self._size or body.hub_size
        self._total = self._size or body.total
        if self._size is not None and body.total is not None and body.total != self._size:
            msg = f"{shown(self._order.url)} has {body.total:,} bytes according to its server, where {self._size:,} are due"
            raise Interrupted(msg)

    def _room(self, body: Body) -> None:
        folder = self._order.target.parent
        need, have = (self._total or body.start) - body.start, self._free(folder)
        if need + RESERVE > have:
            msg = (
                f"{self._order.target.name} needs {need:,} more bytes, and {RESERVE:,} must stay free, but the disk of "
                f"{folder} has {have:,}; make room and try again"
            )
            raise DownloadFailed(msg)

    def _write(self, body: Body) -> None:
        done, checked = body.start, body.start
        with self._part.path.open("ab") as file:
            for chunk in body.answer.chunks():
                self._stop.check()
                file.write(chunk)
                self._part.append(chunk)
                done += len(chunk)
                self._meter.at(done, self._total)
                if self._total is not None and done > self._total:
                    self._overflow(done)
                if done - checked > RESERVE // 2:
                    checked = done
                    self._room(Body(body.answer, done, body.total))

    def _overflow(self, done: int) -> None:
        self._part.discard()
        msg = f"{shown(self._order.url)} sends {done:,} bytes and more, where {self._total:,} are due"
        raise ModelBroken(msg)


@contextmanager
def disk_faults(target: Path) -> Iterator[None]:
    """OSError within the block as DownloadFailed."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full; make room and try again" if full else error.strerror or str(error)
        msg = f"{target} cannot be written: {why}"
        raise DownloadFailed(msg) from error


def _mismatch(order: Order, wanted: str | None, found: str) -> str:
    return (
        f"{shown(order.url)} has sha256 {found}, where {wanted} is due: the file has changed, or the transfer was damaged; "
        f"nothing was kept. If the gallery is outdated, install with the file's new sha256"
    )


def _outdated(order: Order, wanted: str, hub: str) -> str:
    return (
        f"the hub's {shown(order.url)} has sha256 {hub}, where {wanted} is due: the gallery is outdated, and nothing was "
        f"downloaded. Install with the file's new sha256"
    )
