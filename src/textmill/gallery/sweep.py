"""What a killed process leaves behind is removed, so that the next start is clean."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from textmill.gallery.files import writer_of
from textmill.gallery.paths import STATE

_OLD = 3600.0


def sweep(folder: Path) -> None:
    """Remove temporary files whose writers are gone, and notes of downloads that have no bytes; unfinished downloads stay."""
    if not folder.is_dir():
        return
    for path in (*folder.rglob(".*.tmp"), *(folder / STATE).rglob(".*.tmp")):
        pid = writer_of(path)
        if pid is not None and _is_gone(path, pid):
            _remove(path)
    for note in folder.rglob("*.part.json"):
        part = note.with_suffix("")
        if not part.exists() and not note.is_symlink() and _age(note) > _OLD:
            _remove(note)


def _remove(path: Path) -> None:
    """Remove a file, unless the folder cannot be written, as where others may only read it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _is_gone(path: Path, pid: int) -> bool:
    """Whether the writer has died; one in another container is taken to be alive for an hour."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return _age(path) > _OLD


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
