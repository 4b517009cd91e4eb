"""The weights of a model folder: one safetensors file, or shards with their index."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

from textmill.arch.ops import Tensor
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.safetensors import SafetensorsFile
from textmill.errors import ModelBroken

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def open_tensors(folder: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a folder, each under ``prefix`` and its name, as views: nothing is read until it is used.

    Integer buffers such as position ids are left out. Raises ModelBroken for a missing, truncated or damaged file, an index
    that does not fit its shards, and a dtype that textmill does not compute with.
    """
    if (folder / WEIGHTS).is_file():
        return open_file(folder / WEIGHTS, prefix=prefix)
    shards = _shards(folder)
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(shards.values())):
        file = SafetensorsFile(folder / shard)
        names = [name for name, where in shards.items() if where == shard]
        for name in names:
            if name not in file.entries:
                msg = f"{file.path} has no tensor {name}, though {INDEX} says so; download both again"
                raise ModelBroken(msg)
        tensors |= _views(file, names, prefix)
    return tensors


def open_file(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of one safetensors file, as `open_tensors` gives them."""
    file = SafetensorsFile(path)
    return _views(file, list(file.entries), prefix)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights, in order of name; shards of the index are named whether they are there or not.

    Raises ModelBroken where there is neither a file nor an index.
    """
    return (
        [folder / WEIGHTS]
        if (folder / WEIGHTS).is_file()
        else [folder / name for name in sorted(set(_shards(folder).values()))]
    )


def weights_sha256(*folders: Path) -> str:
    """The sha256 of the folders' weight files, in hex; where there are several, that of the list of theirs.

    One file gives what ``sha256sum`` prints for it. Other threads run meanwhile. Raises ModelBroken for a missing file.
    """
    digests = [file_sha256(file) for folder in folders for file in weight_files(folder)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """The sha256 of a file, in hex. Raises ModelBroken where it is missing."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        msg = f"{file.parent} has no {file.name}"
        raise ModelBroken(msg) from None


def _views(file: SafetensorsFile, names: list[str], prefix: str) -> dict[str, Tensor]:
    views = {prefix + name: file.tensor(name, called=prefix + name) for name in names}
    return {name: view for name, view in views.items() if view is not None}


def _shards(folder: Path) -> dict[str, str]:
    """Tensor names to the files that hold them, as the index says."""
    if not (folder / INDEX).is_file():
        raise ModelBroken(_missing(folder))
    index = JsonFile.read(folder / INDEX)
    shards: dict[str, Any] = index.require("weight_map", dict)
    for name, file in shards.items():
        # A name with a folder in it could reach outside the model.
        if not isinstance(file, str) or Path(file).name != file or "\0" in file:
            msg = f"{index.path}: weight_map gives tensor {name} the file {file!r}, which is not a plain file name"
            raise ModelBroken(msg)
    return shards


def _missing(folder: Path) -> str:
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    if not pickles:
        return f"{folder} has no {WEIGHTS} (nor {INDEX})"
    # As it is, so that no head is lost; tied tensors become two, since safetensors refuses shared memory.
    loaded = f"t for p in {[str(pickle) for pickle in pickles]!r} for t in torch.load(p, weights_only=True).items()"
    code = (
        "import torch, safetensors.torch as s; "
        f"s.save_file({{k: v.clone().contiguous() for k, v in ({loaded})}}, {str(folder / WEIGHTS)!r}, "
        "metadata={'format': 'pt'})"
    )
    return (
        f"{folder} has its weights only as {pickles[0].name}, which textmill does not read because unpickling runs code; "
        f"convert it where PyTorch is installed: python -c {shlex.quote(code)}"
    )
