"""Where the files of a models folder came from, so that a name is never mistaken for another file of the same name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from textmill.errors import InvalidInput
from textmill.gallery.files import sha256_of, write_whole
from textmill.gallery.stop import Stop


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when it was whole: where it came from, its hash, and what tells whether it is still that file."""

    origin: str
    sha256: str
    size: int
    modified: int


class Ledger:
    """One small file for each fetched file, in a folder that all who may write the targets share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, target: Path) -> Provenance | None:
        """What is known about a file; None where nothing is, or where somebody has changed it since."""
        try:
            known = msgspec.json.decode(self._path(target).read_bytes(), type=Provenance)
            stat = target.stat()
        except (OSError, msgspec.DecodeError):
            return None
        return known if (stat.st_size, stat.st_mtime_ns) == (known.size, known.modified) else None

    def note(self, target: Path, origin: str, sha256: str) -> None:
        """Write down where a file that is whole came from."""
        stat = target.stat()
        known = Provenance(origin=origin, sha256=sha256, size=stat.st_size, modified=stat.st_mtime_ns)
        write_whole(self._path(target), msgspec.json.encode(known))

    def forget(self, target: Path) -> None:
        """Drop what is known about a file that is gone."""
        self._path(target).unlink(missing_ok=True)

    def has(self, target: Path, origin: str, sha256: str | None, *, replace: bool, stop: Stop) -> str | None:
        """The hash of the target where it is the wanted file, empty where that is not known; None where there is work to do.

        Without a hash to match it is the wanted file if it came from the same place, or if nobody knows where it came from: then a
        person has put it there. Raises InvalidInput for another file, unless it may be replaced.
        """
        if not target.exists():
            return None
        if not target.is_file():
            msg = f"{target.name} is not a file; rename it, or install under another name"
            raise InvalidInput(msg, param="files")
        known = self.of(target)
        if sha256 is None:
            if known is None or known.origin == origin:
                return known.sha256 if known else ""
            why = f"came from {known.origin}, not from {origin}"
        else:
            found = known.sha256 if known else sha256_of(target, stop.check)
            if found == sha256:
                if known is None:
                    self.note(target, origin, found)  # so that it is not hashed again
                return found
            why = f"has sha256 {found}, not {sha256}"
        if replace:
            return None
        msg = f"{target.name} exists and is another file: it {why}; rename or remove it, then try again"
        raise InvalidInput(msg, param="files")

    def _path(self, target: Path) -> Path:
        return self._folder / f"{key_of(target)}.json"


def key_of(target: Path) -> str:
    """A short name for a target's path, whatever links lead to its folder."""
    path = target.parent.resolve() / target.name
    return hashlib.sha256(str(path).encode()).hexdigest()[:16]
