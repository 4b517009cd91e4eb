"""Files of this machine, from folders that the operator has allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textmill.errors import InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.download import Fetched, disk_faults, existing
from textmill.gallery.files import CHUNK
from textmill.gallery.lock import exclusive
from textmill.gallery.part import Origin, Part
from textmill.gallery.progress import Meter, Report
from textmill.gallery.stop import Stop


def allowed_file(path: Path, folders: Sequence[Path]) -> Path:
    """The path without symbolic links; raises InvalidInput outside the allowed folders, before it tells whether a file is there."""
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        msg = (
            f"file://{path} is not in a folder that textmill may install from; those are {', '.join(map(str, folders))}"
        )
        raise InvalidInput(msg, param="url")
    if not real.is_file():
        msg = f"there is no file {path}"
        raise ModelNotFound(msg)
    return real


def copy(
    source: Path, target: Path, *, locks: Path, sha256: str | None, replace: bool, report: Report, stop: Stop
) -> Fetched:
    """Copy a file, or find it there; errors are those of `textmill.gallery.download.download`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part, meter = Part(target), Meter(target.name, report)

    def waiting() -> None:
        stop.check()
        meter.phase("waiting", part.size(), None)

    with exclusive(target, locks, waiting), disk_faults(target):
        present = existing(target, sha256, replace=replace, stop=stop)
        if present is not None:
            return present
        total = source.stat().st_size
        part.begin(Origin(url=source.as_uri(), total=total), 0, stop.check)
        with source.open("rb") as read, part.path.open("ab") as write:
            while chunk := read.read(CHUNK):
                stop.check()
                write.write(chunk)
                part.append(chunk)
                meter.at(write.tell(), total)
        found = part.sha256(stop.check)
        if sha256 is not None and found != sha256.lower():
            part.discard()
            msg = f"{source} has sha256 {found}, where {sha256} is due; nothing was kept"
            raise ModelBroken(msg)
        part.finish()
        meter.phase("done", total, total)
        return Fetched(target, total, found, new=True)
