"""The models of a models folder in the store: each known by its file, loaded when asked for, and anew when its file changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from textmill.contract import Known, Task
from textmill.errors import LoadFailed
from textmill.folder.capabilities import Capability
from textmill.folder.model import Folder, ModelFile
from textmill.folder.problem import Problem
from textmill.folder.scan import scan
from textmill.folder.snapshot import Snapshot, take_snapshot
from textmill.folder.watch import changes, watch
from textmill.store.keeper import Slot
from textmill.store.model import Model
from textmill.store.store import Store

_log = logging.getLogger("textmill")

_TASKS: Mapping[Capability, Task] = {
    "embeddings": "embed",
    "sparse": "embed_sparse",
    "multivector": "embed_multi",
    "rerank": "rerank",
    "classify": "classify",
    "token_classify": "classify_tokens",
}
_WHILE, _BESIDE = 2, 32 * 10**6
"""A load needs its weights twice for a moment, and some memory beside them."""

Loads = Callable[[ModelFile], Model]
"""Loads a model by its file; blocks."""


class Offered:
    """What a models folder offers, kept up to date in a store.

    ``others`` are served besides; a model file of such a name is left out with a warning.
    """

    def __init__(self, path: Path, store: Store, load: Loads) -> None:
        self._path = path
        self._store = store
        self._load = load
        self._others = frozenset(store.names())
        self._begin: Snapshot = take_snapshot(path)
        self.folder = self._scan(None, frozenset())
        for file in self.folder.files:
            self._add(file)

    async def follow(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Look at the folder again and again; until cancelled."""
        async for look in watch(lambda: take_snapshot(self._path), self._begin, sleep=sleep):
            before, self.folder = self.folder, self._scan(self.folder, look.moving)
            found = changes(before.by_name, self.folder.by_name)
            for name in found.removed:
                _log.info("%s is gone from the models folder", name)
                if name not in self._others:
                    self._store.forget(name)
            for name in (*found.added, *found.changed):
                _log.info("%s is %s in the models folder", name, "new" if name in found.added else "changed")
                self._add(self.folder.by_name[name])
            if self.folder.aliases != before.aliases:
                for file in self.folder.files:
                    if file.name not in self._others:
                        self._store.call(file.name, self._aliases(file))

    def _scan(self, before: Folder | None, moving: frozenset[str]) -> Folder:
        folder = scan(self._path, others=self._others, before=before, moving=moving)
        told = frozenset[Problem]() if before is None else frozenset(before.problems)
        for problem in folder.problems:
            if problem not in told:
                _log.log(logging.ERROR if problem.level == "error" else logging.WARNING, "%s", problem)
        return folder

    def _add(self, file: ModelFile) -> None:
        if file.name in self._others:
            _log.warning("%s: %s is served already under that name; its file is left out", file.file, file.name)
            return
        refusal = "its file says disabled" if file.disabled else file.refusal
        known = Known(
            name=file.name,
            source=file.model,
            aliases=self._aliases(file),
            tasks=tuple(_TASKS[capability] for capability in file.capabilities if capability in _TASKS),
            created=max((stamp.mtime_ns for stamp in file.stamps), default=0) // 10**9,
            refusal=refusal,
            listed=file.listed,
        )
        slot = Slot[Model](
            name=file.name,
            load=lambda: self._loaded(file, refusal),
            need=_WHILE * sum(stamp.size for stamp in file.stamps) + _BESIDE,
            pinned=file.pinned,
            groups=frozenset(file.groups),
            most=file.most,
            retry_after=file.retry_after,
        )
        self._store.add(known, slot)

    def _aliases(self, file: ModelFile) -> tuple[str, ...]:
        return tuple(alias.name for alias in self.folder.aliases if alias.target == file.name)

    def _loaded(self, file: ModelFile, refusal: str | None) -> Model:
        if refusal is not None:
            msg = f"{file.name} cannot be served: {refusal}"
            raise LoadFailed(msg, retry_after=None)
        return self._load(file)
