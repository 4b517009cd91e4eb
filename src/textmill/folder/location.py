"""Where a model's weights are: what ``parameters.model`` means, and that nothing it means lies outside the models folder."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_SCHEMES = ("http://", "https://", "huggingface://", "hf://", "github://", "ollama://", "oci://", "ocifile://")
_PREFIXES = (*_SCHEMES, "github:", "hf.co/", "huggingface.co/", "quay.io/", "ghcr.io/", "docker.io/")
_HUB_PREFIX = re.compile(r"(?:huggingface://|hf://|hf\.co/|huggingface\.co/)")
_SHORT = re.compile(r"[A-Za-z0-9][\w.-]*")
_FILES = (".gguf", ".ggml", ".bin", ".safetensors", ".onnx", ".pt", ".pth")
_GRAPHS = (".onnx", ".xml")
_MAX_PATH, _MAX_PART = 2048, 255
"""Bytes; beyond them asking the system for a file is an error."""
_OWNER = "sentence-transformers"


class Refused(Exception):
    """A path that leads out of the models folder, or that cannot be one; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Location:
    """One of these: a place in the models folder, one on the hub, a URI, or a provider's name for the model.

    ``path`` may be missing; ``file`` is one of the ``repo``, or a graph in the folder at the path, where one is named; ``named`` is
    what a provider calls the model.
    """

    path: Path | None = None
    repo: str = ""
    file: str = ""
    uri: str = ""
    named: str = ""

    @property
    def missing(self) -> bool:
        """Whether nothing is at the path."""
        return self.path is not None and not self.path.exists()


def locate(model: str, root: Path, *, short_names: bool = False) -> Location:
    """Where a model is. ``short_names``: a bare name that is no file means a repository of sentence-transformers.

    Raises Refused for a path out of ``root``, by its parts or by a symbolic link.
    """
    if not model.strip() or not model.isprintable():
        msg = "it must name a file, a folder, a repository or a URI"
        raise Refused(msg)
    if model.startswith(_PREFIXES):
        bare = _HUB_PREFIX.sub("", model)
        return Location(repo=bare) if bare != model and HUB_ID.fullmatch(bare) else Location(uri=model)
    path = inside(model.removeprefix("file://"), root)
    if path.exists() or model.startswith(("/", "file://")):
        return _whole(path, root)
    return _on_hub(model, short_names=short_names) or Location(path=path)


def _whole(path: Path, root: Path) -> Location:
    """The folder of a model where one of its files is named: a graph is to be run then, and safetensors are by themselves."""
    if path.suffix not in (*_GRAPHS, ".safetensors") or not path.is_file():
        return Location(path=path)
    for folder in (path.parent, path.parent.parent):
        if folder != root and folder.is_relative_to(root) and (folder / "config.json").is_file():
            inside(str(folder.relative_to(root)), root)
            file = path.relative_to(folder).as_posix() if path.suffix in _GRAPHS else ""
            return Location(path=folder, file=file)
    return Location(path=path)


def _on_hub(model: str, *, short_names: bool) -> Location | None:
    """The repository that a name means, which is no path; None for another name."""
    owner, _, rest = model.partition("/")
    repo, _, file = rest.partition("/")
    if HUB_ID.fullmatch(f"{owner}/{repo}"):
        return Location(repo=f"{owner}/{repo}", file=file)
    if short_names and _SHORT.fullmatch(model) and not model.lower().endswith(_FILES):
        return Location(repo=f"{_OWNER}/{model}")
    return None


def inside(model: str, root: Path) -> Path:
    """The path that a name below the models folder means; raises Refused where it leads out of it."""
    pure = PurePosixPath(model)
    if (
        not model.isprintable()
        or len(model.encode()) > _MAX_PATH
        or any(len(part.encode()) > _MAX_PART for part in pure.parts)
    ):
        msg = "it must be a path of characters that can be printed, and no longer than the system takes"
        raise Refused(msg)
    if ".." in pure.parts or "\\" in model or not pure.parts:
        msg = "it must be a path below the models folder, without .."
        raise Refused(msg)
    path = root / pure
    if not _below(path, root):
        absolute = pure.is_absolute() and not path.is_symlink()
        msg = (
            "it is an absolute path outside of the models folder; move the model there, or serve its folder by --models"
            if absolute
            else "it is a symbolic link that leads out of the models folder"
        )
        raise Refused(msg)
    for link in links(path):
        if not _below(link, root):
            msg = f"{link.name} in it is a symbolic link that leads out of the models folder"
            raise Refused(msg)
    return path


def links(folder: Path) -> Iterator[Path]:
    """The symbolic links in a folder, however deep, hidden folders left out; none for a file."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in sorted(folders + files) if (path := Path(place, name)).is_symlink())
        folders[:] = [name for name in folders if not name.startswith(".")]


def nothing_there(path: Path) -> str:
    """A sentence on a file or folder that is missing."""
    near = difflib.get_close_matches(path.name, sorted(entry.name for entry in _entries(path.parent)), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; put the model into {path.parent}"
    return f"there is no {path.name} in the models folder{hint}"


def _below(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
