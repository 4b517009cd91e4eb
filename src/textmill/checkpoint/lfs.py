"""Files that a clone of a repository has not got yet: pointers of Git LFS stand in their place."""

from __future__ import annotations

from pathlib import Path

from textmill.errors import ModelBroken

_FIRST = b"version https://git-lfs"


def refuse_pointer(path: Path) -> None:
    """Raise ModelBroken for a pointer; says nothing of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(len(_FIRST))
    except OSError:
        return
    if first == _FIRST:
        msg = (
            f"{path} is a pointer of Git LFS and not the file itself, which the clone left out; "
            f"run git lfs pull in {path.parent}"
        )
        raise ModelBroken(msg)
