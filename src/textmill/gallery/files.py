"""Writing so that a reader, and the next start after a crash, sees either nothing or everything."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

CHUNK = 1 << 20


def publish(temporary: Path, target: Path) -> None:
    """Give a written file its name, durably; what had the name before is replaced in one step."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(target)
    sync_folder(target.parent)


def write_whole(target: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a small file in one step, with what of ``mode`` the umask leaves. A temporary one that a crash leaves behind is hidden and removed by `sweep`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:150]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def writer_of(temporary: Path) -> int | None:
    """The process that wrote a temporary file; None for a file that is none of ours."""
    found = re.search(r"\.(\d+)-[0-9a-f]{8}\.tmp$", temporary.name)
    return int(found[1]) if found else None


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """The hash of a file in hex; ``check`` is called between chunks and may raise."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            check()
            digest.update(chunk)
    return digest.hexdigest()
