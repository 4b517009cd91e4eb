"""An entry and what was asked for become files and a model file, in an order that a crash cannot harm."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from textmill.errors import InvalidInput
from textmill.folder.backends import Backend, find_backend
from textmill.gallery.download import disk_faults
from textmill.gallery.entry import Entry, File, config_of
from textmill.gallery.fetcher import Fetcher
from textmill.gallery.files import write_whole
from textmill.gallery.lock import changing, exclusive
from textmill.gallery.modelfiles import (
    ModelUse,
    Outside,
    models_of,
    note_path,
    noted_files,
    noted_hashes,
    noted_source,
)
from textmill.gallery.paths import STATE, inside, safe_file, safe_model
from textmill.gallery.progress import Progress, Report
from textmill.gallery.remove import remove_unused
from textmill.gallery.stop import Stop
from textmill.gallery.wish import Wish
from textmill.gallery.yamltext import write_yaml

_PATHS = ("model", "mmproj", "draft_model", "lora_adapter", "lora_base", "prompt_cache_path")


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is installed: its name, its model file, and all files that are its own."""

    name: str
    config: Path
    files: tuple[Path, ...]


def install(
    entry: Entry,
    wish: Wish,
    folder: Path,
    fetcher: Fetcher,
    *,
    source: str,
    report: Report,
    stop: Stop,
    outside: Outside,
    prepare: Callable[[Stop], None] = lambda _: None,
) -> Installed:
    """Fetch an entry's files and write its model file, last, so that the model is there once all of it is.

    ``source`` says what was asked for, in one spelling. ``prepare`` runs between. Files that models of ``outside`` use are not written over. An interrupted installation is taken up by the
    same wish. Raises InvalidInput where the name or a file is taken by something else, or the model file was changed by hand since
    it was written, and what `Fetcher.fetch` raises.
    """
    name = wish.name or entry.name
    stem = safe_model(name)
    config = config_of(entry, wish.overrides, name)
    files = {file.filename: file for file in (*entry.files, *wish.files)}
    _check(config, files)
    target = inside(folder, f"{stem}.yaml")
    folder.mkdir(parents=True, exist_ok=True)

    def waiting() -> None:
        stop.check()
        report(Progress(target.name, "waiting"))

    with exclusive(target, folder / STATE, waiting), disk_faults(target):
        before = noted_files(folder, stem)
        _same_source(wish, source, folder, stem)
        others = _others(models_of(folder, outside), name, target, mine=_is_ours(folder, stem, target))
        plan = _Plan(folder, fetcher, set(before or ()), others)
        while True:
            fetched = plan.fetch(list(files.values()), report, stop)
            prepare(stop)
            with changing(folder, waiting):
                # A deletion of a model with the same files may have come between.
                if all(path.exists() for path in fetched):
                    templates = plan.templates(entry)
                    _publish(folder, stem, _note(entry, files, source, name), write_yaml(config))
                    left = set(before or ()) - {*files, *(path.relative_to(folder).as_posix() for path in templates)}
                    remove_unused(folder, sorted(left), models_of(folder, outside))
                    return Installed(name, target, (*fetched, *templates))


def _publish(folder: Path, stem: str, note: dict[str, Any], config: bytes) -> None:
    """Write the note and then the model file; the note knows the hashes of the model file before and after."""
    target = folder / f"{stem}.yaml"
    hashes = [_sha256(target.read_bytes())] if target.exists() else []
    hashes.append(_sha256(config))
    write_whole(note_path(folder, stem), write_yaml({**note, "configs": hashes}))
    write_whole(target, config)


def _is_ours(folder: Path, stem: str, target: Path) -> bool:
    """Whether the model file is as an installation has written it; LocalAI's notes have no hash to tell."""
    hashes = noted_hashes(folder, stem)
    if hashes is None or not target.exists():
        return hashes is not None
    return not hashes or _sha256(target.read_bytes()) in hashes


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an installation may write over: files of its own that no other model uses."""

    folder: Path
    fetcher: Fetcher
    before: set[str]
    others: tuple[ModelUse, ...]

    def may_replace(self, file: str) -> bool:
        return file in self.before and not any(model.uses(file) for model in self.others)

    def fetch(self, files: list[File], report: Report, stop: Stop) -> list[Path]:
        """The files, one after the other; each is told of as one of all."""
        paths = list[Path]()
        for number, file in enumerate(files, 1):

            def numbered(progress: Progress, number: int = number) -> None:
                report(replace(progress, number=number, count=len(files)))

            got = self.fetcher.fetch(file, replace=self.may_replace(file.filename), report=numbered, stop=stop)
            numbered(Progress(file.filename, "done", got.size, got.size))
            paths.append(got.path)
        return paths

    def templates(self, entry: Entry) -> list[Path]:
        """Write the prompt templates, each where no other file has its name."""
        paths = list[Path]()
        for template in entry.prompt_templates:
            name = f"{template.name}.tmpl"
            path, data = inside(self.folder, safe_file(name)), template.content.encode()
            if path.exists() and path.read_bytes() != data and not self.may_replace(name):
                msg = f"{name} exists and is another template; rename or remove it, then try again"
                raise InvalidInput(msg, param="name")
            write_whole(path, data)
            paths.append(path)
        return paths


def _others(models: Sequence[ModelUse], name: str, target: Path, *, mine: bool) -> tuple[ModelUse, ...]:
    """The other models; raises InvalidInput where one of the folder has the name already, or the model file is not ours."""
    taken = next((each for each in models if each.name == name and each.path != target and not each.outside), None)
    if taken is not None:
        msg = f"{taken.path.name} describes a model {name} already; give another name, or delete that model first"
        raise InvalidInput(msg, param="name")
    if target.exists() and not mine:
        msg = (
            f"{target.name} exists and is not as an installation has written it; give another name, or delete that model "
            f"first"
        )
        raise InvalidInput(msg, param="name")
    return tuple(model for model in models if model.path != target)


def _check(config: Mapping[str, Any], files: Mapping[str, File]) -> None:
    """Raise InvalidInput for names that lead out of the folder, and for what would run code, before anything is fetched."""
    for name in files:
        safe_file(name)
    if not files and config.keys() <= {"name"}:
        msg = f"{config['name']} has neither files nor a config, so there is nothing to install"
        raise InvalidInput(msg)
    backend = find_backend(str(config.get("backend") or ""))
    if isinstance(backend, Backend) and backend.engine == "python":
        msg = f"{config['name']} has backend python, which runs code of this server's; such a model file is written by hand, never installed"
        raise InvalidInput(msg, param="overrides")
    parameters = config.get("parameters")
    for holder in (config, parameters if isinstance(parameters, Mapping) else {}):
        for key in _PATHS:
            value = holder.get(key)
            if isinstance(value, str) and (
                value.startswith(("/", "\\", "~")) or ".." in value.replace("\\", "/").split("/")
            ):
                msg = f"{key} is {value!r}, which leads out of the models folder; give a path inside it"
                raise InvalidInput(msg, param="overrides")


def _same_source(wish: Wish, source: str, folder: Path, stem: str) -> None:
    """Raise InvalidInput where a model's own address would take the name of a model that came from elsewhere."""
    noted = noted_source(folder, stem)
    if wish.uri and noted is not None and noted != source:
        msg = f"{stem} is installed from {noted or 'a gallery'}; give another name, or delete that model first"
        raise InvalidInput(msg, param="name")


def _note(entry: Entry, files: Mapping[str, File], source: str, name: str) -> dict[str, Any]:
    """What is kept of an installation, in the shape of a document that galleries link to."""
    document = {
        "name": name,
        "entry": entry.name,
        "source": source,
        "gallery": msgspec.to_builtins(entry.gallery) if entry.gallery else None,
        "description": entry.description,
        "license": entry.license,
        "urls": list(entry.urls),
        "files": [msgspec.to_builtins(file) for file in files.values()],
        "prompt_templates": [msgspec.to_builtins(template) for template in entry.prompt_templates],
    }
    return {key: value for key, value in document.items() if value}
