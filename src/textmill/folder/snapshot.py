"""What the files of a models folder looked like at one moment, so that two moments can be compared without reading any."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_FIRST = re.compile(r"(?P<stem>.+)-00001-of-(?P<of>\d{5})(?P<end>\.gguf)", re.IGNORECASE)
_MOST_PARTS = 1000
_DEPTH = 2
"""Levels of folders below the models folder that are looked at: a model's own, and those of its modules."""
MAX_FILES = 20_000


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """A file by its path below the models folder; a file that is replaced or written to has another stamp."""

    path: str
    mtime_ns: int
    size: int
    inode: int


Snapshot = Mapping[str, Stamp]
"""The stamps of a folder's files by their paths below it."""


def take_snapshot(root: Path, config_files: Sequence[Path] = ()) -> Snapshot:
    """The regular files of a folder, three levels deep, hidden ones and unfinished downloads left out; none where there is no folder.

    Links to folders elsewhere are not followed. ``config_files`` are files elsewhere, by their paths from the folder. Raises OSError
    where the folder itself cannot be read.
    """
    named = ((file, os.path.relpath(file.absolute(), root.absolute())) for file in config_files)
    found = {name: stamp for file, name in named if (stamp := _stamp(file, name)) is not None}
    with suppress(NotADirectoryError):
        take_paths(root)  # that it can be read; below, what cannot be is left out
    for stamp in _walk(root, "", _DEPTH):
        found[stamp.path] = stamp
        if len(found) >= MAX_FILES:
            break
    return found


def take_paths(root: Path) -> list[Path]:
    """What is right in a folder, by name; nothing where there is no folder. Raises OSError where it cannot be read."""
    try:
        paths = sorted(root.iterdir())
    except FileNotFoundError:
        return []
    with suppress(FileNotFoundError):
        for path in paths[:1]:
            path.lstat()  # a folder may be listed whose files may not be looked at
    return paths


Stamped = dict[Path, tuple[Stamp, ...]]
"""The stamps of models by their paths, for as long as a folder is read: many model files may use one folder of weights."""


def stamps(path: Path, root: Path, known: Stamped | None = None) -> tuple[Stamp, ...]:
    """The stamps of a model's file, or of all files in its folder, in the order of their names; as they are ``known`` where they are."""
    if known is not None and path in known:
        return known[path]
    name = os.path.relpath(path, root)
    single = _stamp(path, name)
    if single is None:
        found = tuple(islice(_walk(path, f"{name}/", _DEPTH - 1), MAX_FILES))
    else:
        parts = ((part, os.path.relpath(part, root)) for part in parts_of(path))
        found = tuple(stamp for part, part_name in parts if (stamp := _stamp(part, part_name)) is not None)
    if known is not None:
        known[path] = found
    return found


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files of a model that is in several, by its first, whether they are there or not; any other path by itself."""
    found = _FIRST.fullmatch(path.name)
    if found is None or int(found["of"]) > _MOST_PARTS:
        return (path,)
    count = int(found["of"])
    return tuple(
        path.with_name(f"{found['stem']}-{number:05}-of-{count:05}{found['end']}") for number in range(1, count + 1)
    )


def is_unfinished(name: str) -> bool:
    """Whether a name is that of a hidden file, an editor's or a download that goes on."""
    return name.startswith(".") or name.endswith(
        (".part", ".partial", ".tmp", ".swp", "~", ".incomplete", ".crdownload")
    )


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[Stamp]:
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if is_unfinished(entry.name):
            continue
        stamp = _stamp(Path(entry.path), prefix + entry.name)
        if stamp is not None:
            yield stamp
        elif depth and _is_folder(entry, folder):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


def _is_folder(entry: os.DirEntry[str], parent: Path) -> bool:
    """Whether it is a folder, or a link to one beside or below it."""
    try:
        if not entry.is_symlink():
            return entry.is_dir()
        return entry.is_dir() and Path(entry.path).resolve().is_relative_to(parent.resolve())
    except (OSError, RuntimeError):  # it may not be looked at, or links go in a circle
        return False


def _stamp(path: Path, name: str) -> Stamp | None:
    """The stamp of a regular file; None for what is none, or is gone."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return Stamp(name, seen.st_mtime_ns, seen.st_size, seen.st_ino) if stat.S_ISREG(seen.st_mode) else None
