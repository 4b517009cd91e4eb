"""Models of the hub that become known because a request names them (--auto-download)."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from textmill.contract import Known
from textmill.errors import DownloadFailed, LoadFailed, ModelBroken, ModelNotFound, Overloaded
from textmill.folder.loose import hub_model
from textmill.folder.model import ModelFile
from textmill.store.finding import Found
from textmill.store.keeper import Slot
from textmill.store.offered import Loads, Needs, Weighs, stamped, usual_need
from textmill.store.served import Served

MOST = 100
"""Models that become known in this way; more names would fill the disk."""
LOOKED_FOR = 100
"""Names that are looked for at once: each has a thread, also where the hub does not answer and nobody waits any more."""
REFUSED_S = 60.0
"""How long a model that does not exist, or cannot be served, is not tried again."""
_RETRY_S = 5.0
_MOST_FAILED = 1000
"""Names of which it is kept that they failed; clients make them up."""

_log = logging.getLogger("textmill")


class Hub(Protocol):
    """What knows the hub's repositories; `textmill.gallery.gallery.Gallery` is one."""

    def is_here(self, repo: str, revision: str | None) -> bool:
        """Whether all that a model needs is on this machine."""
        ...

    def files_of(self, repo: str, revision: str | None) -> Sequence[str]:
        """The names of a repository's files; blocks. Raises ModelNotFound where there is none for us, DownloadFailed."""
        ...


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a name is not looked for until then, and how often in a row it could not be brought."""

    why: BaseException
    until: float
    times: int


class OnDemand:
    """Finds models of the hub. ``taken`` says which names belong to the models folder, in which nothing is looked for here.

    At most ``most`` that the hub has are known at once, and ``looked_for`` names more of which it is not clear yet; where the server is
    ``offline``, only those whose files are here.
    """

    def __init__(
        self,
        hub: Hub,
        load: Loads,
        *,
        weigh: Weighs = stamped,
        needs: Needs = usual_need,
        taken: Callable[[str], bool] = lambda _: False,
        offline: bool = False,
        most: int = MOST,
        looked_for: int = LOOKED_FOR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._load = load
        self._weigh = weigh
        self._needs = needs
        self._taken = taken
        self._offline = offline
        self._most = most
        self._most_looked_for = looked_for
        self._clock = clock
        self._lock = Lock()
        """Of what follows: threads that load find out what there is."""
        self._looked_for: set[str] = set()
        self._found: set[str] = set()
        self._failed: dict[str, _Failed] = {}

    def find(self, name: str) -> Found | None:
        """The model of a name such as owner/repo or owner/repo/file; None for another, and for one that was refused a moment ago.

        Raises LoadFailed for one that could not be brought a moment ago, Overloaded where too many are being looked for.
        """
        file = hub_model(name)
        if file is None or self._why_not(file):
            return None
        slot = Slot(name=name, prepare=lambda: self._brought(file), load=lambda: self._loaded(file))
        with self._lock:
            slot.failures = self._failures(name)
            if len(self._looked_for) >= self._most_looked_for:
                msg = f"{self._most_looked_for} models are being looked for on the hub; try again when some of them are known"
                raise Overloaded(msg, retry_after=_RETRY_S)
            self._looked_for.add(name)
        _log.info("%s is not known here; a request asks for it, so it is looked for on the hub", name)
        return Found(Known(name=name, source=file.model), slot)

    def hint(self, name: str) -> str:
        """Why the model was not looked for on the hub."""
        file = hub_model(name)
        why = "" if file is None else self._why_not(file)
        return f"; {why}" if why else ""

    def forget(self, name: str, why: BaseException | None = None) -> None:
        """Let another be known in its place. It is not tried again for a while where it failed, which is ``why``."""
        with self._lock:
            self._looked_for.discard(name)
            self._found.discard(name)
            before = self._failed.pop(name, None)
            if why is None:
                return
            wait = REFUSED_S if not isinstance(why, LoadFailed) or why.retry_after is None else why.retry_after
            if len(self._failed) >= _MOST_FAILED:
                del self._failed[next(iter(self._failed))]
            times = 1 if before is None else before.times + 1
            self._failed[name] = _Failed(why, self._clock() + wait, times)

    def _failures(self, name: str) -> int:
        """How often in a row the model could not be brought; raises LoadFailed where that was a moment ago."""
        failed = self._failed.get(name)
        if failed is None or isinstance(failed.why, ModelNotFound):
            return 0
        wait = failed.until - self._clock()
        if wait > 0:
            msg = f"{failed.why}; the next attempt is possible in {wait:.0f} s"
            raise LoadFailed(msg, retry_after=wait)
        return failed.times

    def _why_not(self, file: ModelFile) -> str:
        """Why a model is not looked for on the hub; empty where it is."""
        if self._taken(file.name):
            return "the models folder has something of that name, which comes first"
        if file.refusal is not None:
            return f"it cannot be served: {file.refusal}"
        with self._lock:
            failed, full = self._failed.get(file.name), len(self._found) >= self._most
        if failed is not None and isinstance(failed.why, ModelNotFound) and self._clock() < failed.until:
            return str(failed.why)
        if self._offline and not self._is_here(file):
            return "textmill is offline and does not look for it on the hub"
        return self._no_place(file) if full else ""

    def _no_place(self, file: ModelFile) -> str:
        return f"{self._most} models were fetched on request, and no more are; `textmill pull {file.name}` installs it"

    def _brought(self, file: ModelFile) -> int:
        """The memory that a model takes, once its files are here; it is clear before that the hub has it."""
        with _refusing():
            self._check(file)
            self._count(file)
            need = self._needs(file, self._weigh(file))
        with self._lock:
            self._failed.pop(file.name, None)
        return need

    def _loaded(self, file: ModelFile) -> Served:
        with _refusing():
            return self._load(file)

    def _count(self, file: ModelFile) -> None:
        """Count a model that the hub has, before anything of it takes room. Raises ModelNotFound where there are too many already."""
        with self._lock:
            if file.name not in self._looked_for:
                return  # counted before, or forgotten meanwhile, so that nobody would give its place back
            self._looked_for.discard(file.name)
            if len(self._found) >= self._most:
                raise ModelNotFound(self._no_place(file))
            self._found.add(file.name)

    def _check(self, file: ModelFile) -> None:
        """Raise ModelNotFound where the hub does not have it, ModelBroken where it has no weights that textmill runs."""
        here = self._is_here(file)
        if here and not file.location.file:
            return
        try:
            files = self._files(file)
        except DownloadFailed:
            if here:
                return
            raise
        if _is_gguf(file.location.file):
            return
        if not any(name.endswith((".safetensors", ".onnx", ".xml")) for name in files):
            gguf = next(filter(_is_gguf, files), "")
            has = (
                f"GGUF files, of which a request can name one, as {file.location.repo}/{gguf}"
                if gguf
                else "none of them"
            )
            msg = f"{file.name} cannot be served: textmill runs safetensors, ONNX and OpenVINO files, and it has {has}"
            raise ModelBroken(msg)

    def _files(self, file: ModelFile) -> Sequence[str]:
        """The files of a model's repository; raises ModelNotFound where the one that is asked for is not among them."""
        place = file.location
        try:
            files = self._hub.files_of(place.repo, place.revision or None)
        except ModelNotFound as error:
            at = f" of revision {place.revision}" if place.revision else ""
            msg = (
                f"the hub has no repository {place.repo}{at} for this server: it does not exist, or is private or gated"
            )
            raise ModelNotFound(msg) from error
        if place.file and place.file not in files:
            near = difflib.get_close_matches(place.file, files, n=1)
            msg = f"{place.repo} has no file {place.file}{f'; did you mean {near[0]}?' if near else ''}"
            raise ModelNotFound(msg)
        return files

    def _is_here(self, file: ModelFile) -> bool:
        return self._hub.is_here(file.location.repo, file.location.revision or None)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise ModelNotFound for a model that cannot be served, as for one that does not exist: neither is to stay known."""
    try:
        yield
    except ModelBroken as error:
        raise ModelNotFound(str(error)) from error


def _is_gguf(name: str) -> bool:
    return name.lower().endswith(".gguf")
