"""Models of the hub that become known because a request names them (--auto-download)."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from textmill.contract import Known
from textmill.errors import DownloadFailed, ModelBroken, ModelNotFound
from textmill.folder.loose import hub_model
from textmill.folder.model import ModelFile
from textmill.store.finding import Found
from textmill.store.keeper import Slot
from textmill.store.offered import Loads, Weighs, need_of, stamped
from textmill.store.served import Served

MOST = 100
"""Models that become known in this way; more names would fill the disk."""
REFUSED_S = 60.0
"""How long a model that does not exist, or cannot be served, is not tried again."""
_MOST_REFUSED = 1000

_log = logging.getLogger("textmill")


class Hub(Protocol):
    """What knows the hub's repositories; `textmill.gallery.gallery.Gallery` is one."""

    def is_here(self, repo: str, revision: str | None) -> bool:
        """Whether all that a model needs is on this machine."""
        ...

    def files_of(self, repo: str, revision: str | None) -> Sequence[str]:
        """The names of a repository's files; blocks. Raises ModelNotFound where there is none for us, DownloadFailed."""
        ...


class OnDemand:
    """Finds models of the hub. ``taken`` says which names belong to the models folder, in which nothing is looked for here.

    At most ``most`` are known at once; where the server is ``offline``, only those whose files are here.
    """

    def __init__(
        self,
        hub: Hub,
        load: Loads,
        *,
        weigh: Weighs = stamped,
        taken: Callable[[str], bool] = lambda _: False,
        offline: bool = False,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._load = load
        self._weigh = weigh
        self._taken = taken
        self._offline = offline
        self._most = most
        self._clock = clock
        self._found: set[str] = set()
        self._refused: dict[str, tuple[float, str]] = {}
        """Until when, and why; written by threads that load, one item at a time."""

    def find(self, name: str) -> Found | None:
        """The model of a name such as owner/repo or owner/repo/file; None for another, and for one that was refused a moment ago."""
        file = hub_model(name)
        if file is None or self._why_not(file):
            return None
        self._found.add(name)
        _log.info("%s is not known here; a request asks for it, so it is looked for on the hub", name)
        slot = Slot(name=name, prepare=lambda: self._brought(file), load=lambda: self._loaded(file))
        return Found(Known(name=name, source=file.model), slot)

    def hint(self, name: str) -> str:
        """Why the model was not looked for on the hub."""
        file = hub_model(name)
        why = "" if file is None else self._why_not(file)
        return f"; {why}" if why else ""

    def forget(self, name: str) -> None:
        """Let another be known in its place."""
        self._found.discard(name)

    def _why_not(self, file: ModelFile) -> str:
        """Why a model is not looked for on the hub; empty where it is."""
        until, why = self._refused.get(file.name, (float("-inf"), ""))
        if self._taken(file.name):
            return "the models folder has something of that name, which comes first"
        if file.refusal is not None:
            return f"it cannot be served: {file.refusal}"
        if self._clock() < until:
            return why
        if self._offline and not self._is_here(file):
            return "textmill is offline and does not look for it on the hub"
        if len(self._found) >= self._most:
            return (
                f"{self._most} models were fetched on request, and no more are; `textmill pull {file.name}` installs it"
            )
        return ""

    def _brought(self, file: ModelFile) -> int:
        """The memory that a model takes, once its files are here; it is clear before that the hub has it."""
        with self._noting(file):
            self._check(file)
            return need_of(self._weigh(file))

    def _loaded(self, file: ModelFile) -> Served:
        with self._noting(file):
            return self._load(file)

    @contextmanager
    def _noting(self, file: ModelFile) -> Iterator[None]:
        """Raise ModelNotFound, also for a model that cannot be served: it is not to stay known, and others need the place."""
        try:
            yield
        except (ModelNotFound, ModelBroken) as error:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.clear()
            self._refused[file.name] = (self._clock() + REFUSED_S, str(error))
            raise ModelNotFound(str(error)) from error

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
        if not any(name.endswith((".safetensors", ".onnx", ".xml")) for name in files):
            has = (
                "GGUF files, whose engine this version of textmill does not have yet"
                if _gguf(files)
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


def _gguf(files: Sequence[str]) -> bool:
    return any(name.lower().endswith(".gguf") for name in files)
