"""Graphs that a repository ships ready-made: ONNX and OpenVINO files, and which of them is run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from textmill.checkpoint.lfs import refuse_pointer
from textmill.checkpoint.tensors import INDEX, WEIGHTS
from textmill.errors import ModelBroken

_log = logging.getLogger(__name__)

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""The ending of a backend's files."""
_FIRST = {
    "onnx": ("onnx/model.onnx", "model.onnx"),
    "openvino": ("openvino/openvino_model.xml", "openvino_model.xml"),
}
"""Where the exporters of Hugging Face put the one that is exact."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A graph's file, with the files beside it that hold its weights."""

    path: Path
    beside: tuple[Path, ...]

    def sha256(self) -> str:
        """A hash over all of its files, in hex."""
        digest = hashlib.sha256()
        for file in (self.path, *self.beside):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()


def is_asked_for(backend: str, file: str | None) -> bool:
    """Whether a graph's file is to be run even where there are safetensors."""
    return file is not None or backend == "onnx"


def patterns(backend: str, file: str | None) -> tuple[str, ...]:
    """What to fetch of a repository, as shell patterns: the file that is asked for, or those that `choose` would take first."""
    names = (file, f"*/{file}") if file is not None else [name for kind in _kinds(backend) for name in _FIRST[kind]]
    return tuple(
        pattern
        for name in names
        for pattern in (name, f"{name}*data*", f"{name.removesuffix('.xml')}.bin")
        if pattern.endswith(".bin") == name.endswith(".xml") or pattern == name
    )


def choose(folder: Path, *, backend: str, file: str | None) -> Artefact | None:
    """The graph that is to be run, or None where the safetensors are.

    ``file`` names one, by its path below the folder or by its bare name. Without it, ``backend`` onnx takes an .onnx file;
    openvino and auto take one only where there are no safetensors. Of several candidates the choice is logged with its reason.
    Raises ModelBroken where there is no such file.
    """
    if file is not None:
        return _artefact(_named(folder, file, backend))
    weighty = (folder / WEIGHTS).is_file() or (folder / INDEX).is_file()
    if backend == "torch" or (backend in ("auto", "openvino") and weighty):
        return None
    for kind in _kinds(backend):
        found = candidates(folder, kind)
        if found:
            return _artefact(_best(folder, kind, found))
    if backend == "onnx":
        msg = f"{folder} has no .onnx file; leave --backend out to run its safetensors"
        raise ModelBroken(msg)
    return None


def candidates(folder: Path, kind: str) -> list[Path]:
    """The files of a kind, ``onnx`` or ``openvino``, in the folder and one level below it, by name."""
    ending = SUFFIXES[kind]
    return sorted(path for pattern in (f"*{ending}", f"*/*{ending}") for path in folder.glob(pattern) if path.is_file())


def _kinds(backend: str) -> tuple[str, ...]:
    return ("openvino", "onnx") if backend == "auto" else (backend,)


def _named(folder: Path, file: str, backend: str) -> Path:
    pure = PurePosixPath(file)
    if pure.suffix not in SUFFIXES.values():
        msg = f"--file {file} is neither an .onnx nor an .xml file"
        raise ModelBroken(msg)
    if backend == "torch" or SUFFIXES.get(backend, pure.suffix) != pure.suffix:
        msg = f"--file {file} does not go with --backend {backend}; leave the backend out"
        raise ModelBroken(msg)
    if pure.is_absolute() or ".." in pure.parts:
        msg = f"--file {file} must be a path below the model's folder"
        raise ModelBroken(msg)
    every = [path for kind in SUFFIXES for path in candidates(folder, kind)]
    if (folder / file).is_file():
        return folder / file
    same = [path for path in every if path.name == file]
    if len(same) != 1:
        there = ", ".join(path.relative_to(folder).as_posix() for path in every) or "none"
        msg = f"{folder} has no file {file}; its graphs are: {there}"
        raise ModelBroken(msg)
    return same[0]


def _best(folder: Path, kind: str, found: Sequence[Path]) -> Path:
    names = {path.relative_to(folder).as_posix(): path for path in found}
    exact = next((name for name in _FIRST[kind] if name in names), None)
    name = exact or next(iter(names))
    if len(names) > 1:
        reason = "the one that is not quantised or optimised" if exact else "the first by name"
        _log.info("%s has %s; taking %s, %s; --file takes another", folder, ", ".join(names), name, reason)
    return names[name]


def _artefact(path: Path) -> Artefact:
    """The file and those beside it; raises ModelBroken where an .xml lacks its .bin, or one is a pointer of Git LFS."""
    artefact = _with_weights(path)
    for file in (artefact.path, *artefact.beside):
        refuse_pointer(file)
    return artefact


def _with_weights(path: Path) -> Artefact:
    if path.suffix == ".xml":
        beside = path.with_suffix(".bin")
        if not beside.is_file():
            msg = f"{path} lacks its weights, {beside.name} beside it"
            raise ModelBroken(msg)
        return Artefact(path, (beside,))
    return Artefact(path, tuple(sorted(path.parent.glob(f"{path.name}*data*"))))
