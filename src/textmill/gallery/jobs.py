"""Installations and deletions that run in the background, with records to ask for, also after a restart."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from textmill.errors import ModelNotFound, Overloaded, TextmillError
from textmill.gallery.files import write_whole
from textmill.gallery.paths import STATE
from textmill.gallery.progress import Progress, Report
from textmill.gallery.record import Record
from textmill.gallery.stop import Stop
from textmill.gallery.wish import Wish

WAITING = 1000
"""Jobs that are not done; beyond them a client may come back."""
_RETRY_S = 10.0
"""Some jobs take a moment and some an hour, so this is no estimate, only a bound on how often a client asks."""

_log = logging.getLogger(__name__)

CarryOut = Callable[[Wish, Report, Stop], object]


class _Saved(msgspec.Struct, frozen=True):
    """A job on disk."""

    wish: Wish
    record: Record
    number: int = 0


class _Job:
    """A job in memory: its record changes, under the lock of `Jobs`."""

    def __init__(self, wish: Wish, record: Record, number: int) -> None:
        self.wish = wish
        self.record = record
        self.number = number
        self.stop = Stop()


class Jobs:
    """Runs wishes by ``carry_out``, at most ``workers`` at once, in the order of their submission. Safe for threads.

    Each job is a file in the models folder; of those that ended, the oldest go where there are more than ``kept``. At most ``waiting`` are taken
    that are not done. The process that has the jobs of a folder first is the one that keeps them.
    """

    def __init__(
        self, carry_out: CarryOut, folder: Path, *, workers: int = 2, kept: int = 200, waiting: int = WAITING
    ) -> None:
        self._carry_out = carry_out
        self._folder = folder / STATE / "jobs"
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gallery")
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._number = 0
        self._owner = FileLock(folder / STATE / "jobs.lock", thread_local=False)
        self._owns = False
        self._closed = False
        self._kept = kept
        self._waiting = waiting

    def resume(self) -> list[str]:
        """Take up the jobs of an earlier process: records of those that ended, and those that did not, again.

        Returns the ids of the latter; none where another process has the folder's jobs.
        """
        if not self._folder.is_dir() or not self._own():
            return []
        saved = sorted(self._saved().items(), key=lambda item: item[1].number)
        again = list[str]()
        with self._lock:
            for key, each in saved:
                job = _Job(each.wish, each.record, each.number)
                self._jobs[key] = job
                self._number = max(self._number, each.number)
                if not each.record.processed:
                    again.append(key)
        for key in again:
            self._pool.submit(self._run, self._jobs[key])
        return again

    def submit(self, wish: Wish) -> str:
        """Begin a wish; its job's id. Raises InvalidInput for a wish that cannot be one, Overloaded where too many wait."""
        wish.checked()
        key = str(uuid.uuid4())
        record = Record(uuid=key, gallery_element_name=wish.title, deletion=bool(wish.delete))
        with self._lock:
            if sum(not job.record.processed for job in self._jobs.values()) >= self._waiting:
                msg = f"{self._waiting} jobs wait already; try again when some are done"
                raise Overloaded(msg, retry_after=_RETRY_S)
            self._number += 1
            job = _Job(wish, record, self._number)
            self._jobs[key] = job
            self._forget()
        self._save(job)
        self._pool.submit(self._run, job)
        return key

    def record(self, key: str) -> Record:
        """How a job is; raises ModelNotFound for an unknown id."""
        return self._job(key).record

    def records(self) -> Mapping[str, Record]:
        """All jobs that are known, in their order."""
        with self._lock:
            return {key: job.record for key, job in self._jobs.items()}

    def cancel(self, key: str) -> Record:
        """Stop a job that has not ended; its record at once says so. What was downloaded stays, to be resumed."""
        job = self._job(key)
        if not job.record.processed:
            self._change(job, lambda record: record.with_cancelled())
            self._save(job)
            job.stop.set()
        return job.record

    def close(self) -> None:
        """Stop what runs, without ending it: the next process resumes it."""
        with self._lock:
            self._closed = True
            jobs = [job for job in self._jobs.values() if not job.record.processed]
        for job in jobs:
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._owns:
            self._owner.release()

    def _run(self, job: _Job) -> None:
        if job.stop.is_set() or self._closed:
            return
        self._change(job, lambda record: record.with_message("processing"))
        try:
            self._carry_out(job.wish, lambda progress: self._tell(job, progress), job.stop)
        except CancelledError:
            # A cancelled job's record is final already; one that the process's end interrupts stays unfinished.
            return
        except TextmillError as error:
            self._end(job, self._told(str(error)))
        except Exception:  # noqa: BLE001 - the end of a thread: the record must say that it failed
            _log.exception("job %s failed", job.record.uuid)
            self._end(job, "internal error; the server's log has the details")
        else:
            self._end(job, None)

    def _told(self, error: str) -> str:
        """An error for clients: where this machine has the models folder is not their business."""
        folder = self._folder.parents[1]
        for path in {folder.resolve(), folder.absolute()}:
            if path.name:
                # Not where it is part of another path, or of a URL's.
                whole = rf"(?<![\w.\]-]){re.escape(str(path))}(?![\w-]|\.\w)"
                error = re.sub(whole, path.name.replace("\\", r"\\"), error)
        return error

    def _tell(self, job: _Job, progress: Progress) -> None:
        self._change(job, lambda record: record.with_progress(progress))

    def _end(self, job: _Job, error: str | None) -> None:
        self._change(job, lambda record: record.with_end(error))
        self._save(job)

    def _change(self, job: _Job, change: Callable[[Record], Record]) -> None:
        """A new record in the old one's place, unless that was final."""
        with self._lock:
            if not job.record.processed:
                job.record = change(job.record)

    def _job(self, key: str) -> _Job:
        with self._lock:
            job = self._jobs.get(key)
        if job is None:
            msg = f"there is no job {key!r}; GET /models/jobs lists those there are"
            raise ModelNotFound(msg)
        return job

    def _own(self) -> bool:
        if not self._owns:
            with suppress(Timeout, OSError):  # a folder that cannot be written keeps no jobs
                self._folder.mkdir(parents=True, exist_ok=True)
                self._owner.acquire(timeout=0)
                self._owns = True
        return self._owns

    def _save(self, job: _Job) -> None:
        """Write a job down; a job that cannot be is run all the same."""
        if not self._own():
            return
        try:
            # One that has ended is not begun again, and its addresses may have secrets in them, as those of others may.
            saved = _Saved(Wish() if job.record.processed else job.wish, job.record, job.number)
            path = self._folder / f"{job.record.uuid}.json"
            write_whole(path, msgspec.json.encode(saved), mode=0o600)
            with self._lock:
                forgotten = job.record.uuid not in self._jobs
            if forgotten:  # meanwhile, between its end and this
                path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("job %s is not kept for a restart: %s", job.record.uuid, error)

    def _saved(self) -> dict[str, _Saved]:
        """The jobs on disk; damaged files are dropped."""
        found = dict[str, _Saved]()
        for path in self._folder.glob("*.json"):
            try:
                found[path.stem] = msgspec.json.decode(path.read_bytes(), type=_Saved)
            except (OSError, msgspec.DecodeError):
                path.unlink(missing_ok=True)
        return found

    def _forget(self) -> None:
        """Drop the oldest records of jobs that ended, beyond the number that is kept."""
        ended = [key for key, job in self._jobs.items() if job.record.processed]
        for key in ended[: max(0, len(self._jobs) - self._kept)]:
            del self._jobs[key]
            if self._owns:
                (self._folder / f"{key}.json").unlink(missing_ok=True)
