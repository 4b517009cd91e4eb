"""A models folder over time: which files changed, and which are only being written; the loop around it is for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.folder.snapshot import Snapshot

T = TypeVar("T")

INTERVAL = 2.0
"""Seconds between two looks at a folder."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names that are new, that mean something else, and that are gone, each in order; it is true where there are any."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def changes(before: Mapping[str, T], after: Mapping[str, T]) -> Changes:
    """What changed between two states of things by name: of files' stamps, or of `Folder.by_name`."""
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a folder's files: the stamps that were ``taken`` as they are, and those ``last`` seen."""

    taken: Snapshot
    last: Snapshot

    @classmethod
    def begin(cls, snapshot: Snapshot) -> Watched:
        """What is known where that snapshot, made before the folder was first read, is all that was seen."""
        return cls(snapshot, snapshot)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the folder found: files that ``changes`` lists stand still, those ``moving`` are still being written."""

    changes: Changes
    moving: frozenset[str]


def step(watched: Watched, seen: Snapshot, whole: Collection[str] = ()) -> tuple[Watched, Look]:
    """What one more snapshot says: a change is taken once two snapshots in a row agree on the file.

    Those that are ``whole``, or in a folder that is, are taken at once: who wrote them says that they are.
    """
    names = seen.keys() | watched.last.keys() | watched.taken.keys()
    moving = frozenset(
        name for name in names if seen.get(name) != watched.last.get(name) and not _is_of(name, frozenset(whole))
    )
    still = {name: seen[name] for name in seen.keys() - moving}
    kept = {name: watched.taken[name] for name in moving & watched.taken.keys()}
    taken = {**still, **kept}
    return Watched(taken, seen), Look(changes(watched.taken, taken), moving)


async def watch(
    look: Callable[[], Snapshot],
    begin: Snapshot,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    interval: float = INTERVAL,
    again: Callable[[], bool] = lambda: False,
    whole: Callable[[], Collection[str]] = tuple,
) -> AsyncIterator[Look]:
    """Every look at a folder that finds a change, for as long as it is asked for; ``look`` runs in a thread.

    A look that finds none counts too where the last change is to be looked at ``again``. ``whole`` gives before each look the files
    that are not being written any more, see `step`.
    """
    watched = Watched.begin(begin)
    while True:
        await sleep(interval)
        named = whole()
        watched, found = step(watched, await asyncio.to_thread(look), named)
        if found.changes or again():
            yield found


def _is_of(name: str, whole: frozenset[str]) -> bool:
    """Whether a file is one of these, or below one of them."""
    parts = name.split("/")
    return bool(whole) and any("/".join(parts[:end]) in whole for end in range(1, len(parts) + 1))
