"""Where a model's weights are: what ``parameters.model`` means, and that nothing it means lies outside the models folder."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_SCHEMES = ("http://", "https://", "huggingface://", "hf://", "github://", "ollama://", "oci://", "ocifile://")
_PREFIXES = (*_SCHEMES, "github:", "hf.co/", "huggingface.co/", "quay.io/", "ghcr.io/", "docker.io/")
_HUB_PREFIX = re.compile(r"(?:https://)?(?:huggingface\.co/|hf\.co/)|huggingface://|hf://")
_HUB_LINK = re.compile(r"(?P<repo>[^/]+/[^/]+)/(?:resolve|blob|raw)/(?P<revision>[^/]+)/(?P<file>[^?#]+)(?:[?#].*)?")
_ONE_FILE = (".gguf", ".ggml", ".bin")
"""Weights that are one file; other files of a repository need those beside them."""
_IMAGES = ("ollama://", "oci://", "ocifile://", "quay.io/", "ghcr.io/", "docker.io/")
_PLAIN = re.compile(r"[A-Za-z0-9][\w.+()-]{0,149}")
_NO_WEIGHTS = (".yaml", ".yml", ".part", ".part.json")
_REVISION = re.compile(r"[\w][\w./-]*")
_SHORT = re.compile(r"[A-Za-z0-9][\w.-]*")
_FILES = (".gguf", ".ggml", ".bin", ".safetensors", ".onnx", ".pt", ".pth")
_GRAPHS = (".onnx", ".xml")
_MAX_PATH, _MAX_PART = 2048, 255
"""Bytes; beyond them asking the system for a file is an error."""
_OWNER = "sentence-transformers"
_DEEP = 4
"""Levels of folders below a model's own; nothing reads files of it that lie deeper."""


class Refused(Exception):
    """A path that leads out of the models folder, or that cannot be one; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Location:
    """One of these: a place in the models folder, one on the hub, or a provider's name for the model.

    ``path`` may be missing; its file is downloaded from ``uri`` where there is one, and ``awaited`` says that other downloads of the
    model bring it, or more of it. ``file`` is one of the ``repo``, or a graph in the folder at the path, where one is named; ``revision`` is of the
    repo, empty for its main one. ``named`` is what a provider calls the model.
    """

    path: Path | None = None
    repo: str = ""
    file: str = ""
    revision: str = ""
    uri: str = ""
    awaited: bool = False
    named: str = ""

    @property
    def missing(self) -> bool:
        """Whether nothing is at the path."""
        return self.path is not None and not self.path.exists()

    @property
    def comes(self) -> bool:
        """Whether something is missing at the path that is downloaded when the model loads."""
        return self.awaited or (self.missing and bool(self.uri))


def locate(model: str, root: Path, *, short_names: bool = False) -> Location:
    """Where a model is. ``short_names``: a bare name that is no file means a repository of sentence-transformers.

    Raises Refused for a path out of ``root``, by its parts or by a symbolic link.
    """
    if not model.strip() or not model.isprintable():
        msg = "it must name a file, a folder, a repository or a URI"
        raise Refused(msg)
    if (prefix := _HUB_PREFIX.match(model)) is not None:
        found = _linked(model[prefix.end() :], page=model.startswith("https://"))
        if found is not None:
            return _fetched(found, root)
    if model.startswith(_PREFIXES):
        return Location(path=inside(name_of(model), root), uri=model)
    path = inside(model.removeprefix("file://"), root)
    try:
        if path.exists() or model.startswith(("/", "file://")):
            return _whole(path, root)
    except OSError as error:
        msg = f"it cannot be read: {error.strerror}"
        raise Refused(msg) from None
    found = on_hub(model, short_names=short_names)
    return Location(path=path) if found is None else _fetched(found, root)


def name_of(uri: str) -> str:
    """The name that the file at a URI gets in the models folder: its own, or one made of the URI where that cannot be a name."""
    bare = unquote(uri.partition("?")[0].partition("#")[0]).rstrip("/")
    name = bare.rpartition("/")[2]
    if uri.startswith(_IMAGES):
        name = name.replace("@sha256:", "-").replace(":", "-")
        name = f"{name}.gguf" if uri.startswith("ollama://") else name
    elif not uri.startswith(("http://", "https://")):
        name = name.partition("@")[0]
    if _PLAIN.fullmatch(name) and not name.lower().endswith(_NO_WEIGHTS):
        return name
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def _linked(rest: str, *, page: bool) -> Location | None:
    """The repository, or the file in it, that a link to the hub means; None for another one. A ``page`` of it is not every file."""
    link = _HUB_LINK.fullmatch(rest)
    if link is not None:
        rest = f"{link['repo']}/{unquote(link['file'])}@{unquote(link['revision'])}"
    found = on_hub(rest)
    return None if page and link is None and found is not None and found.file else found


def _fetched(found: Location, root: Path) -> Location:
    """A place on the hub; weights that are one file are downloaded into the models folder."""
    if not found.file.lower().endswith(_ONE_FILE):
        return found
    at = f"@{found.revision}" if found.revision else ""
    uri = f"huggingface://{found.repo}/{found.file}{at}"
    return replace(found, path=inside(name_of(uri), root), uri=uri)


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


def on_hub(model: str, *, short_names: bool = False) -> Location | None:
    """The repository, or the file in it, that a name such as owner/repo/file@revision means; None for another name."""
    place, _, revision = model.partition("@")
    owner, _, rest = place.partition("/")
    repo, _, file = rest.partition("/")
    whole = all(part not in ("", ".", "..") for part in (file.split("/") if file else ()))
    if HUB_ID.fullmatch(f"{owner}/{repo}") and whole and (_REVISION.fullmatch(revision) or place == model):
        return Location(repo=f"{owner}/{repo}", file=file, revision=revision)
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
    """The symbolic links in a folder, as deep as models' files lie, hidden folders left out; none for a file."""
    depth = len(folder.parts) + _DEEP
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        for entry in _entries(place):
            with suppress(OSError):  # what may not be looked at is not read either
                if entry.is_symlink():
                    yield Path(entry.path)
                elif len(place.parts) < depth and not entry.name.startswith(".") and entry.is_dir():
                    waiting.append(Path(entry.path))


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
