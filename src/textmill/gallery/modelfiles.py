"""Who uses which files of a models folder: its model files, and models that are served from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from textmill.errors import InvalidInput
from textmill.gallery.paths import safe_file
from textmill.gallery.yamltext import read_yaml

_NOTE = "._gallery_"
_LARGEST = 4 << 20
_PROSE = frozenset({"name", "backend", "description", "usage"})
_FILE_KEYS = ("model", "mmproj", "draft_model", "lora_adapter", "lora_base")


@dataclass(frozen=True, slots=True)
class Outside:
    """What a server serves besides a models folder, and what may use files in it all the same.

    ``config_files`` are YAML files elsewhere whose models have their weights in the folder, ``models`` what was given by a path, or by
    another name of which there is no such path.
    """

    config_files: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model of a YAML file: ``files`` are those that belong to it, ``words`` all texts in which a file may be named.

    ``alone`` says whether the YAML file describes no other. ``outside`` says, for a person, where a model comes from that is none of
    the folder's own and is not deleted here; empty for others.
    """

    name: str
    path: Path
    files: tuple[str, ...]
    words: tuple[str, ...]
    alone: bool
    outside: str = ""

    @property
    def title(self) -> str:
        """Its name, and where it comes from if that is outside of the folder."""
        return f"{self.name} ({self.outside})" if self.outside else self.name

    def uses(self, file: str) -> bool:
        """Whether a file, or one inside or around it, may be meant by what the model says; rather too often than too rarely."""
        named = re.compile(rf"(?<![\w.-]){re.escape(file)}(?![\w.-])")
        return any(named.search(word) or file.startswith(f"{word}/") for word in self.words)


def models_of(folder: Path, outside: Outside) -> tuple[ModelUse, ...]:
    """The models of a folder's YAML files, in the order of the files' names, and those of elsewhere.

    One that is not YAML uses what its text names. Raises InvalidInput where one of elsewhere is not there to be read.
    """
    found, own = list[ModelUse](), set[Path]()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in (".yaml", ".yml") and not path.name.startswith(".") and path.is_file():
            found += _models_in(path, folder)
            own.add(_place(path))
    for path in outside.config_files:
        if _place(path) not in own:
            found += _models_elsewhere(path, folder)
    return (*found, *(_given(name, folder) for name in outside.models))


def note_path(folder: Path, stem: str) -> Path:
    """Where it is kept what an installation wrote; LocalAI's name, so that its folders can be cleaned up too."""
    return folder / f"{_NOTE}{stem}.yaml"


def noted_files(folder: Path, stem: str) -> tuple[str, ...] | None:
    """The files that an installation wrote for a model; None where there was none."""
    note = _note(folder, stem)
    if note is None:
        return None
    files = [each.get("filename") for each in _mappings(note.get("files"))]
    templates = [f"{each.get('name')}.tmpl" for each in _mappings(note.get("prompt_templates"))]
    return tuple(str(name) for name in (*files, *templates) if _is_safe(name))


def noted_source(folder: Path, stem: str) -> str | None:
    """What an installation was asked for; empty where it does not say, None where there was none."""
    note = _note(folder, stem)
    return None if note is None else str(note.get("source") or "")


def noted_hashes(folder: Path, stem: str) -> tuple[str, ...] | None:
    """The hashes of the model file as an installation wrote it; empty where it does not say, None where there was none."""
    note = _note(folder, stem)
    hashes = () if note is None else note.get("configs")
    return None if note is None else tuple(map(str, hashes)) if isinstance(hashes, list) else ()


def own_files(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that a model file names as its own, with those that it has downloaded at start."""
    return tuple(dict.fromkeys(name for name in _named(config) if _is_safe(name)))


def _named(config: Mapping[str, Any]) -> list[str]:
    """The files that a model file names as such, wherever they are."""
    parameters = config.get("parameters")
    inner = parameters if isinstance(parameters, Mapping) else {}
    named = [holder.get(key) for holder in (inner, config) for key in _FILE_KEYS]
    named += [each.get("filename") for each in _mappings(config.get("download_files"))]
    return [name for name in named if isinstance(name, str)]


def _note(folder: Path, stem: str) -> Mapping[str, Any] | None:
    """What an installation wrote down; nothing where that is damaged, None where there was none."""
    path = note_path(folder, stem)
    if not path.is_file():
        return None
    try:
        note = _read(path)
    except InvalidInput:
        return {}
    return note if isinstance(note, Mapping) else {}


def _models_elsewhere(path: Path, folder: Path) -> Iterator[ModelUse]:
    """The models of a YAML file elsewhere; what an installation has noted of files of that name is not about them."""
    outside = f"of {path.name}, which --models-config-file names"
    try:
        for model in _models_in(path, folder, noted=False):
            yield replace(model, files=(), outside=outside)
    except OSError as error:
        msg = f"{path.name}, which --models-config-file names, cannot be read ({error.strerror}), so that it is not known what its models use"
        raise InvalidInput(msg) from None


def _given(name: str, folder: Path) -> ModelUse:
    """A model that was given by a path; one that is the folder itself uses whatever is there."""
    path = Path(name).expanduser()
    words = tuple(dict.fromkeys(_below(path, folder)))
    if "." in words and folder.is_dir():
        words = tuple(each.name for each in folder.iterdir())
    return ModelUse(path.name or name, path, (), words, alone=False, outside="given to the server at its start")


def _below(path: Path, folder: Path) -> Iterator[str]:
    """What a path is called from the folder on, with and without its links; a dot for the folder, nothing for one outside of it."""
    with suppress(OSError, ValueError, RuntimeError):  # no path at all, or links in a circle
        roots = (_place(folder), folder.resolve())
        for place in (_place(path), path.resolve()):
            yield from (str(place.relative_to(root)) for root in roots if place.is_relative_to(root))


def _place(path: Path) -> Path:
    """The one spelling of a path whose last part may be a link."""
    return path.absolute().parent.resolve() / path.name


def _models_in(path: Path, folder: Path, *, noted: bool = True) -> Iterator[ModelUse]:
    try:
        document = _read(path)
    except InvalidInput:
        text = path.read_text(errors="replace") if path.stat().st_size <= _LARGEST else ""
        yield ModelUse(path.stem, path, (), (text,), alone=False)
        return
    configs = [each for each in (document if isinstance(document, list) else [document]) if isinstance(each, Mapping)]
    for config in configs:
        name = str(config.get("name") or path.stem)
        installed = (noted_files(folder, path.stem) if noted and len(configs) == 1 else None) or ()
        files = tuple(dict.fromkeys((*own_files(config), *installed)))
        texts = _texts({key: config[key] for key in config if key not in _PROSE})
        ways = (way for file in _named(config) for way in _below(folder / file.removeprefix("file://"), folder))
        yield ModelUse(name, path, files, tuple(dict.fromkeys((*texts, *installed, *ways))), len(configs) == 1)


def _read(path: Path) -> Any:
    if path.stat().st_size > _LARGEST:
        msg = f"{path.name} is too large for a model file"
        raise InvalidInput(msg)
    return read_yaml(path.read_bytes(), path.name)


def _mappings(value: Any) -> Sequence[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _texts(value: Any) -> Iterator[str]:
    """All texts in a config; paths in one spelling."""
    if isinstance(value, str):
        yield str(PurePosixPath(value)) if value else value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _is_safe(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    try:
        safe_file(name)
    except InvalidInput:
        return False
    return True
