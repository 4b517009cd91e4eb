"""An unfinished download: the bytes so far beside the target, and what is known about where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from textmill.gallery.files import CHUNK, publish, write_whole


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bytes belong to: the ``url``, a validator for If-Range (a strong ETag or a date), the whole size, the due sha256."""

    url: str
    validator: str | None = None
    total: int | None = None
    sha256: str | None = None


class Part:
    """The files NAME.part and NAME.part.json of a target, and the running sha256 of what is in the first."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self._digest = hashlib.sha256()
        self._hashed = 0

    def size(self) -> int:
        """Bytes so far."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def origin(self) -> Origin | None:
        """What the bytes belong to; None where that is not known, so that they are of no use."""
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError):
            return None

    def begin(self, origin: Origin, at: int, check: Callable[[], None]) -> None:
        """Note what the bytes from ``at`` on belong to, and drop what is behind; ready for `append`.

        The note is written before the first byte, so that no byte is ever of unknown origin.
        """
        if at == 0:
            self.path.unlink(missing_ok=True)
        write_whole(self._note, msgspec.json.encode(origin))
        with self.path.open("ab") as file:
            file.truncate(at)
        self._rehash(at, check)

    def append(self, chunk: bytes) -> None:
        """Add bytes to the hash; the caller has written them."""
        self._digest.update(chunk)
        self._hashed += len(chunk)

    def sha256(self, check: Callable[[], None]) -> str:
        """The hash of all bytes, in hex."""
        self._rehash(self.size(), check)
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the bytes the target's name, durably."""
        publish(self.path, self.target)
        self._note.unlink(missing_ok=True)

    def _rehash(self, size: int, check: Callable[[], None]) -> None:
        """Hash what is on disk, where it is not what has been hashed already."""
        if self._hashed == size:
            return
        self._digest, self._hashed = hashlib.sha256(), 0
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                check()
                self.append(chunk)
