"""Weights without a model file: GGUF files, and folders of safetensors, ONNX or OpenVINO files; their names are those of the files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

from textmill.errors import ModelBroken
from textmill.folder.capabilities import capabilities
from textmill.folder.engines import HERE, choose_engine
from textmill.folder.fields import Fields
from textmill.folder.location import Location, Refused, inside, on_hub
from textmill.folder.model import ModelFile
from textmill.folder.problem import Problem
from textmill.folder.snapshot import Stamped, is_unfinished, stamps, take_paths
from textmill.folder.weights import head, is_model_folder, look
from textmill.folder.wishes import wishes

SKIPPED = (
    *(
        ".tmpl",
        ".keep",
        ".yaml",
        ".yml",
        ".json",
        ".txt",
        ".pt",
        ".pth",
        ".onnx",
        ".md",
        ".ds_store",
        ".ckpt",
        ".zip",
        ".tag",
        ".bak",
    ),
    *(".tar.gz", ".tgz", ".sha256", ".safetensors", ".xml", ".py", ".log"),
)
"""Endings of files that are no models by themselves."""
_ABOUT = ("readme", "model_card")
_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$", re.IGNORECASE)
_SERVED_FILES = (".onnx", ".xml", ".safetensors", ".gguf", ".ggml", ".bin")
_MAX_HUB_NAME = 256
_MAGICS = (b"GGUF", b"lmgg", b"fmgg", b"tjgg", b"algg")


def loose_models(paths: Iterable[Path], root: Path, stamped: Stamped) -> Iterator[ModelFile | Problem]:
    """The loose models among the ``paths`` right in the folder, and model folders one level deeper, called OWNER/NAME; in the order of names.

    ``stamped`` are stamps that are known, and becomes more.
    """
    for path in _candidates(paths):
        if path.is_symlink() and not _is_safe(path, root):
            yield Problem(
                "error", path, 0, "", "it is a symbolic link that leads out of the models folder; it is left out"
            )
        elif path.is_dir():
            try:
                yield from list(_folders(path, root, stamped))
            except OSError as error:
                yield Problem("warning", path, 0, "", f"it cannot be read ({error.strerror}); it is left out")
        elif _is_weights(path):
            yield from _made(path, path.name, root, stamped)


def loose_files(name: str, root: Path) -> tuple[str, ...]:
    """What belongs to the loose model of that name, damaged or not, by paths below the folder: all parts of a file in parts.

    Nothing where there is no such model. Raises OSError where the folder cannot be read.
    """
    found = loose_models(take_paths(root), root, {})
    if not any((each.model if isinstance(each, Problem) else each.name) == name for each in found):
        return ()
    part = _PART.search(name)
    if part is None:
        return (name,)
    pattern = re.compile(rf"{re.escape(name[: part.start(1)])}\d{{5}}{re.escape(name[part.end(1) :])}")
    return tuple(path.name for path in take_paths(root) if pattern.fullmatch(path.name))


def hub_model(name: str) -> ModelFile | None:
    """The model that a name such as owner/repo, owner/repo/file or owner/repo@revision means on the hub; None for another name."""
    location = on_hub(name) if name.isascii() and len(name) <= _MAX_HUB_NAME else None
    if location is None or (location.file and not location.file.lower().endswith(_SERVED_FILES)):
        return None
    fields = Fields(name=name)
    can = capabilities(fields, None, None, f"{location.repo} {location.file}")
    choice = choose_engine(None, location, None, can)
    options: dict[str, object] = {"revision": location.revision} if location.revision else {}
    if location.file.endswith((".onnx", ".xml")):
        options["file"] = location.file
    return ModelFile(
        name=name,
        file=Path(name),
        fields=fields,
        engine=choice.engine,
        location=location,
        capabilities=can,
        options=MappingProxyType(options),
        refusal=choice.refusal,
        reasons=(choice.why,),
    )


def model_at(path: Path) -> ModelFile:
    """The model of weights anywhere on this machine, a file or a folder; who names a path may read it, wherever its links lead.

    Raises ModelBroken for what holds none.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are: a cache has them under other names
    made = next(_made(whole, whole.name, Path(whole.anchor), {}), None)
    if isinstance(made, ModelFile):
        return made
    why = "it is the part of a model that looks at images" if made is None else made.sentence
    msg = f"{path} cannot be run: {why}"
    raise ModelBroken(msg)


def _folders(path: Path, root: Path, stamped: Stamped) -> Iterator[ModelFile | Problem]:
    if is_model_folder(path):
        yield from _made(path, path.name, root, stamped)
        return
    for inner in _candidates(sorted(path.iterdir())):
        if not inner.is_symlink() and inner.is_dir() and is_model_folder(inner):
            yield from _made(inner, f"{path.name}/{inner.name}", root, stamped)


def _made(path: Path, name: str, root: Path, stamped: Stamped) -> Iterator[ModelFile | Problem]:
    try:
        inside(os.path.relpath(path, root), root)
        facts = look(path)
    except Refused as refused:
        yield Problem("error", path, 0, "", str(refused), name)
        return
    except ModelBroken as error:
        yield Problem("error", path, 0, "", str(error).removeprefix(f"{path} "), name)
        return
    fields, location = Fields(name=name), Location(path=path)
    can = capabilities(fields, None, facts, name)
    if not can and facts.gguf is not None:
        return  # the part of a model that looks at images
    choice = choose_engine(None, location, facts, can)
    yield ModelFile(
        name=name,
        file=path,
        fields=fields,
        engine=choice.engine,
        location=location,
        facts=facts,
        stamps=stamps(path, root, stamped),
        capabilities=can,
        options=MappingProxyType(wishes(fields, {}, None, can).options if choice.engine in HERE else {}),
        refusal=choice.refusal,
        reasons=(choice.why,),
        listed=facts.form != "ggml",
    )


def _candidates(paths: Iterable[Path]) -> list[Path]:
    """What may be a model among the paths in a folder."""
    return [path for path in paths if not is_unfinished(path.name) and not _is_skipped(path.name)]


def _is_skipped(name: str) -> bool:
    low = name.lower()
    part = _PART.search(low)
    return low.endswith(SKIPPED) or low.startswith(_ABOUT) or (part is not None and part[1] != "00001")


def _is_safe(path: Path, root: Path) -> bool:
    try:
        inside(path.name, root)
    except Refused:
        return False
    return True


def _is_weights(path: Path) -> bool:
    """Whether a file is a GGUF file, or an old one of ggml, whatever its name."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
    return regular and (path.suffix == ".gguf" or head(path)[:4] in _MAGICS)
