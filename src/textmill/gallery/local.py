"""Files of this machine, from folders that the operator has allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textmill.errors import InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.download import Fetched, disk_faults, ledger_in
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
    source: Path, target: Path, *, state: Path, sha256: str | None, replace: bool, report: Report, stop: Stop
) -> Fetched:
    """Copy a file, or find it there; errors are those of `textmill.gallery.download.download`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part, meter = Part(target), Meter(target.name, report)

    def waiting() -> None:
        stop.check()
        meter.phase("waiting", part.size(), None)

    with exclusive(target, state, waiting), disk_faults(target):
        ledger = ledger_in(state)
        there = ledger.has(target, source.as_uri(), sha256, replace=replace, stop=stop)
        if there is not None:
            return Fetched(target, target.stat().st_size, there, new=False)
        total = source.stat().st_size
        part.begin(Origin(url=source.as_uri(), total=total), 0, stop.check)
        with source.open("rb") as read, part.path.open("ab") as write:
            while chunk := read.read(CHUNK):
                stop.check()
                write.write(chunk)
                part.append(chunk)
                meter.at(write.tell(), total)
        found = part.sha256(stop.check)
        if sha256 is not None and found != sha256:
            part.discard()
            msg = f"{source} has sha256 {found}, where {sha256} is due; nothing was kept"
            raise ModelBroken(msg)
        part.finish()
        ledger.note(target, source.as_uri(), found)
        meter.phase("done", total, total)
        return Fetched(target, total, found, new=True)
