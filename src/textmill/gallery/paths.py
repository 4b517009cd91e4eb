"""Names from galleries become paths that cannot leave the models folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from textmill.errors import InvalidInput

STATE = ".textmill"
"""The folder inside the models folder for locks, jobs and cached indexes; scans skip it because of its dot."""

_LONGEST = 200  # bytes in a segment; file systems take 255, and suffixes must fit
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def safe_file(name: str) -> PurePosixPath:
    """A file's name from an index or a request as a relative path; raises InvalidInput for any that could mean another place."""
    why = _fault(name)
    if why is None and "/" not in name and name.lower().endswith((".yaml", ".yml")):
        why = "is the name of a model file, which only an installation writes"
    if why is not None:
        msg = f"the file name {name!r} {why}; give a plain relative name such as weights/model.gguf"
        raise InvalidInput(msg, param="files")
    return PurePosixPath(name)


def safe_model(name: str) -> str:
    """The stem of the file that describes a model of this name, in which ``/`` is ``__``; raises InvalidInput for bad names."""
    stem = name.replace("/", "__")
    why = _fault(name) or _fault(stem) or ("is longer than 200 bytes" if len(stem.encode()) > _LONGEST else None)
    if why is not None:
        msg = f"the model name {name!r} {why}; give another name"
        raise InvalidInput(msg, param="name")
    return stem


def inside(folder: Path, name: str | PurePosixPath) -> Path:
    """The path of a safe name in a folder; raises InvalidInput where a symbolic link on the way leads out of the folder."""
    path = folder / name
    root = folder.resolve()
    if not path.parent.resolve().is_relative_to(root) or not path.resolve().is_relative_to(root):
        msg = f"{name} leads out of the models folder by a symbolic link, which textmill does not follow"
        raise InvalidInput(msg, param="files")
    return path


def _fault(name: str) -> str | None:
    """What is wrong with a name, as the rest of a sentence."""
    segments = name.split("/")
    faults = (
        (not name.strip(), "is empty"),
        (bool(_CONTROL.search(name)), "has control characters"),
        ("\\" in name, "has a backslash"),
        (name.startswith("/") or bool(_DRIVE.match(name)), "is absolute"),
        (any(segment in ("", ".", "..") for segment in segments), "has empty or dotted segments"),
        (any(segment.startswith(".") for segment in segments), "is hidden"),
        (any(len(segment.encode()) > _LONGEST for segment in segments), "is longer than 200 bytes"),
        (name.endswith((".part", ".part.json")), "is that of an unfinished download"),
    )
    return next((why for wrong, why in faults if wrong), None)
