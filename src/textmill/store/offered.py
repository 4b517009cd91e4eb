"""The models of a models folder in the store: each known by its file, loaded when asked for, and anew when its file changes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from textmill.checkpoint.hub import names_of
from textmill.contract import Known, Task
from textmill.errors import LoadFailed, TextmillError
from textmill.folder.backends import Engine
from textmill.folder.capabilities import Capability
from textmill.folder.external import External
from textmill.folder.model import Folder, ModelFile
from textmill.folder.problem import Problem
from textmill.folder.scan import scan
from textmill.folder.snapshot import MAX_FILES, Snapshot, take_snapshot
from textmill.folder.watch import Changes, changes, watch
from textmill.gallery.access import shown
from textmill.store.keeper import Slot
from textmill.store.looks import Looks
from textmill.store.served import Served
from textmill.store.store import Store

_log = logging.getLogger("textmill")

_TASKS: Mapping[Capability, Task] = {
    "embeddings": "embed",
    "sparse": "embed_sparse",
    "multivector": "embed_multi",
    "rerank": "rerank",
    "classify": "classify",
    "token_classify": "classify_tokens",
    "chat": "chat",
    "completion": "complete",
}
_WHILE, _BESIDE = 2, 32 * 10**6
"""A load needs its weights twice for a moment, and some memory beside them."""

_APART: frozenset[Engine] = frozenset({"remote", "python"})
"""Engines whose loads may take any time, as a server elsewhere or somebody's code does, and nothing of what other loads need."""

Loads = Callable[[ModelFile], Served]
"""Loads a model by its file; blocks."""
Fetch = Callable[[ModelFile], bool]
"""Gets what a model file names and what is not there yet; false where nothing was missing. Blocks."""
Weighs = Callable[[ModelFile], int]
"""How many bytes a model's weights have, which are brought to this machine for it; 0 where nobody can tell. Blocks."""
Needs = Callable[[ModelFile, int], int]
"""The memory that a model takes whose weights have so many bytes; 0 where nobody can tell."""


def need_of(weights: int) -> int:
    """The memory that a model takes whose weights have so many bytes; 0 where these are not known."""
    return _WHILE * weights + _BESIDE if weights else 0


def usual_need(file: ModelFile, weights: int) -> int:
    """`need_of`, and 0 for a model whose backend we do not know."""
    return 0 if file.external else need_of(weights)


def stamped(file: ModelFile) -> int:
    """The bytes of a model's weights in the models folder."""
    return sum(stamp.size for stamp in file.stamps)


def _nothing(_: ModelFile) -> bool:
    return False


class Offered:
    """What a models folder offers, kept up to date in a store.

    ``load`` loads a model once ``fetch`` has got what its file has downloaded, and ``weigh`` has said how large it is. What the store has
    already is served besides; a model file of such a name is left out with a warning. ``config_files`` are YAML files elsewhere whose
    models are in this folder, ``external`` backends that run as processes. ``needs`` says what memory a model takes, ``python`` which modules models may be of. By ``looks`` others have a look at the folder made at once.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        load: Loads,
        fetch: Fetch = _nothing,
        weigh: Weighs = stamped,
        config_files: Sequence[Path] = (),
        looks: Looks | None = None,
        external: Mapping[str, External] = MappingProxyType({}),
        *,
        needs: Needs = usual_need,
        python: Sequence[str] = (),
    ) -> None:
        self._path = path
        self._external = external
        self._python = python
        self._config_files = config_files
        self._store = store
        self._load = load
        self._fetch = fetch
        self._weigh = weigh
        self._needs = needs
        self._looks = looks or Looks()
        self._fetched: dict[str, ModelFile] = {}
        self._others: dict[str, str] = {}
        for known, info, _ in store.known():
            for name in (known.name, *known.aliases, *(() if info is None else info.aliases)):
                self._others.setdefault(name, known.name)
        self._seen: Snapshot = take_snapshot(path, config_files)
        self._told: set[str] = set()
        self._behind = False
        self.folder = self._scan(None, frozenset())
        for file in self.folder.files:
            self._add(file)
        self._call_all()

    def aliases(self, name: str) -> tuple[str, ...]:
        """The names that the folder has for a model beside its own. Any thread may ask."""
        return tuple(
            alias.name for alias in self.folder.aliases if self._others.get(alias.target, alias.target) == name
        )

    async def follow(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Look at the folder again and again; until cancelled."""
        looks = self._looks

        async def rest(seconds: float) -> None:
            await looks.rest(seconds, sleep)

        try:
            await self._follow(rest)
        finally:
            looks.end()

    async def _follow(self, rest: Callable[[float], Awaitable[object]]) -> None:
        watching = watch(self._look, self._seen, sleep=rest, again=lambda: self._behind, whole=self._looks.whole)
        async for look in watching:
            self._behind = True
            try:
                folder = await asyncio.to_thread(self._scan, self.folder, look.moving)
            except Exception as error:  # noqa: BLE001 - whatever it is, the folder is followed further
                self._tell(f"{self._path} is not taken as it is now; it is looked at again", error)
                continue
            before, self.folder = self.folder, folder
            self._take(changes(before.by_name, folder.by_name))
            self._call_all()
            self._behind = folder.unreadable

    def has(self, name: str) -> bool:
        """Whether the folder has something of that name, were it broken: a model file's entry, a file or a folder."""
        return bool(self.folder.broken(name)) or os.path.lexists(self._path / name)

    def _look(self) -> Snapshot:
        """What the files look like now; as they were before while the folder cannot be read, as on a disk that is away."""
        try:
            self._seen = take_snapshot(self._path, self._config_files)
        except OSError as error:
            self._tell(f"{self._path} cannot be read ({error.strerror}); its models stay as they are")
        if len(self._seen) >= MAX_FILES:
            self._tell(f"{self._path} has more than {MAX_FILES} files; changes of those beyond are not seen")
        return self._seen

    def _tell(self, sentence: str, error: BaseException | None = None) -> None:
        """A warning, or an error, once."""
        if (key := f"{sentence} {error!r}") not in self._told:
            self._told.add(key)
            _log.log(logging.WARNING if error is None else logging.ERROR, "%s", sentence, exc_info=error)

    def _take(self, found: Changes) -> None:
        """Have in the store what has changed in the folder."""
        for name in found.removed:
            _log.info("%s is gone from the models folder", name)
            if name not in self._others:
                self._store.forget(name)
        for name in (*found.added, *found.changed):
            if self._fetched.pop(name, None) == self.folder.by_name[name]:
                continue  # a load has fetched its files, and knows
            _log.info("%s is %s in the models folder", name, "new" if name in found.added else "changed")
            self._add(self.folder.by_name[name])

    def _scan(self, before: Folder | None, moving: frozenset[str]) -> Folder:
        folder = self._scanned(before, moving)
        told = frozenset[Problem]() if before is None else frozenset(before.problems)
        for problem in folder.problems:
            if problem not in told:
                _log.log(logging.ERROR if problem.level == "error" else logging.WARNING, "%s", problem)
        return folder

    def _scanned(self, before: Folder | None = None, moving: frozenset[str] = frozenset()) -> Folder:
        return scan(
            self._path,
            external=self._external,
            config_files=self._config_files,
            others=self._others,
            before=before,
            moving=moving,
            python=self._python,
        )

    def _add(self, file: ModelFile) -> None:
        if file.name in self._others:
            _log.warning("%s: %s is served already under that name; its file is left out", file.file, file.name)
            return
        known = self._known(file)
        offer = _Offer(self, file, known.source)
        slot = Slot[Served](
            name=file.name,
            load=offer.load,
            prepare=offer.prepare,
            need=self._needs(file, stamped(file)),
            pinned=file.pinned,
            groups=frozenset(file.groups),
            beside=file.external is None and file.engine in _APART,
            most=file.most,
            retry_after=file.retry_after,
        )
        self._store.add(known, slot)

    def _call_all(self) -> None:
        """Have all names in the store as they are now, and what is listed."""
        self._store.describe([self._known(file) for file in self.folder.files if file.name not in self._others])
        aliases: dict[str, list[str]] = {name: [] for name in self._others.values()}
        for alias in self.folder.aliases:
            if alias.target in self._others:
                aliases[self._others[alias.target]].append(alias.name)
        for name, theirs in aliases.items():
            self._store.call(name, tuple(theirs))

    def _known(self, file: ModelFile) -> Known:
        place = file.location
        source = place.path.relative_to(self.folder.path).as_posix() if place.path is not None else shown(file.model)
        return Known(
            name=file.name,
            source=source,
            aliases=(*self.aliases(file.name), *(name for name in names_of(place.repo) if name != file.name)),
            tasks=tuple(_TASKS[capability] for capability in file.capabilities if capability in _TASKS),
            created=max((stamp.mtime_ns for stamp in file.stamps), default=0) // 10**9,
            refusal="its file says disabled" if file.disabled else file.refusal and self._shortened(file.refusal),
            listed=file.listed,
        )

    def brought(self, file: ModelFile) -> tuple[ModelFile, int]:
        """A model file once all that it names is here, and the memory that its model takes; blocks. Raises LoadFailed."""
        if self._fetch(file):
            # What the weights are is known only now.
            file = self._scanned().by_name.get(file.name, file)
            if file.refusal is not None:
                msg = f"{file.name} cannot be served: {file.refusal}"
                raise LoadFailed(msg, retry_after=None)
            self._fetched[file.name] = file
        return file, self._needs(file, 0 if file.external else self._weigh(file))

    def loaded(self, file: ModelFile, source: str) -> Served:
        """The model of a file, which says that it is from there; blocks."""
        model = self._load(file)
        here = f"{self.folder.path}{os.sep}"
        aliases = tuple(alias for alias in model.info.aliases if not alias.startswith(here))
        model.info = replace(model.info, source=source, aliases=aliases)
        return model

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """Have errors name files from the models folder on: they are told to those who ask. The log has all of them."""
        try:
            yield
        except TextmillError as error:
            whole, error.args = (
                str(error),
                tuple(self._shortened(each) if isinstance(each, str) else each for each in error.args),
            )
            if str(error) != whole:
                _log.error("%s", whole)
            raise

    def _shortened(self, told: str) -> str:
        for path in (self.folder.path, self.folder.path.resolve()):
            told = told.replace(f"{path}{os.sep}", "").replace(str(path), path.name)
        return told


class _Offer:
    """A model file on its way into memory."""

    def __init__(self, offered: Offered, file: ModelFile, source: str) -> None:
        self._offered = offered
        self._file = file
        self._source = source

    def prepare(self) -> int:
        with self._offered.discreet():
            self._file, need = self._offered.brought(self._file)
        return need

    def load(self) -> Served:
        with self._offered.discreet():
            return self._offered.loaded(self._file, self._source)
