"""Deleting a model: its model file, and of its other files those that no other model uses."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textmill.errors import InvalidInput, ModelNotFound, TextmillError
from textmill.folder.loose import loose_files
from textmill.gallery.access import shown
from textmill.gallery.download import disk_faults, ledger_in
from textmill.gallery.files import sync_folder, write_whole
from textmill.gallery.lock import changing
from textmill.gallery.modelfiles import ModelUse, Outside, models_of, note_path, noted_files
from textmill.gallery.part import Part
from textmill.gallery.paths import STATE, inside, safe_file
from textmill.gallery.yamltext import write_yaml


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion removed, and what it kept because others use it or because it is a link out of the folder."""

    files: tuple[str, ...]
    kept: tuple[str, ...]


def remove(folder: Path, name: str, outside: Outside) -> Removed:
    """Delete a model, by its name, which is that of its file or folder where it is loose. Nothing outside the folder is touched.

    What models of ``outside`` use stays. The model file goes first: a crash leaves files that nobody names, never a model without
    its files. Raises ModelNotFound for an unknown name, InvalidInput where a model shares its YAML file, is one of ``outside``, or a
    loose file is used by a model.
    """
    if not folder.is_dir():
        msg = f"there is no folder {folder}, so there is no model {shown(name)!r}"
        raise ModelNotFound(msg)
    with changing(folder), disk_faults(folder):
        models = models_of(folder, outside)
        own = [model for model in models if model.name == name and not model.outside]
        if own:
            return _remove_model(folder, own, [model for model in models if model not in own])
        stem = name.replace("/", "__")
        left = noted_files(folder, stem) if _is_plain(stem) and not (folder / f"{stem}.yaml").exists() else None
        if left is not None:
            # A deletion was cut off after the model file was gone.
            removed = remove_unused(folder, left, models)
            note_path(folder, stem).unlink(missing_ok=True)
            return removed
        return _remove_loose(folder, name, models)


def remove_unused(folder: Path, names: Iterable[str], others: Sequence[ModelUse]) -> Removed:
    """Delete files that none of the other models uses."""
    gone, kept = list[str](), list[str]()
    for file in names:
        used = any(model.uses(file) for model in others)
        (gone if not used and _delete(folder, file) else kept).append(file)
    present = (file for file in kept if (folder / file).exists())
    return Removed(tuple(gone), tuple(present))


def _remove_model(folder: Path, own: Sequence[ModelUse], others: Sequence[ModelUse]) -> Removed:
    for model in own:
        if not model.alone:
            msg = f"{model.path.name} describes other models besides {model.name}, or cannot be read; take {model.name} out of it by hand"
            raise InvalidInput(msg, param="name")
    for model in own:
        # What belongs to it is written down first, so that a deletion that is cut off can be taken up again.
        note = {"name": model.name, "files": [{"filename": file, "uri": ""} for file in model.files]}
        write_whole(note_path(folder, model.path.stem), write_yaml(note))
        model.path.unlink(missing_ok=True)
    sync_folder(folder)
    removed = remove_unused(folder, dict.fromkeys(file for model in own for file in model.files), others)
    for model in own:
        note_path(folder, model.path.stem).unlink(missing_ok=True)
    return Removed((*(model.path.name for model in own), *removed.files), removed.kept)


def _remove_loose(folder: Path, name: str, models: Sequence[ModelUse]) -> Removed:
    files = loose_files(name, folder.absolute()) if _is_plain(name) else ()
    if not files:
        raise _unknown(name, models)
    users = [model.title for model in models if any(model.uses(file) for file in files)]
    if users:
        msg = f"{name} is used by {', '.join(users)}; that has to go first"
        raise InvalidInput(msg, param="name")
    # The first part last: by it a deletion that is cut off can be asked for again.
    removed = remove_unused(folder, reversed(files), ())
    if not removed.files:
        msg = f"{name} leads out of the models folder by a symbolic link, which textmill does not follow; remove it by hand"
        raise InvalidInput(msg, param="name")
    return removed


def _unknown(name: str, models: Sequence[ModelUse]) -> TextmillError:
    """What to say of a name that is no model of the folder."""
    elsewhere = next((model.title for model in models if model.name == name and model.outside), None)
    if elsewhere is not None:
        return InvalidInput(f"{elsewhere} is no model of the models folder; take it out of there by hand", param="name")
    own = ", ".join(model.name for model in models if not model.outside)
    # Whoever takes an address for a name need not read its password in a log.
    return ModelNotFound(f"no model is called {shown(name)!r}; those with model files are {own or 'none'}")


def _is_plain(name: str) -> bool:
    try:
        safe_file(name)
    except InvalidInput:
        return False
    return True


def _delete(folder: Path, file: str) -> bool:
    """Remove a file or a folder of files; False where there is none, or where it is reached through a link."""
    path = folder / safe_file(file)
    if path.parent.is_dir():
        Part(path).discard()
    ledger_in(folder / STATE).forget(path)
    if path.is_symlink():
        # The link itself is ours to remove, what it leads to is not.
        path.unlink()
        return True
    try:
        inside(folder, file)
    except InvalidInput:
        return False
    if path.is_dir():
        shutil.rmtree(path)
    elif path.is_file():
        path.unlink()
    else:
        return False
    _drop_empty(path.parent, folder)
    return True


def _drop_empty(path: Path, folder: Path) -> None:
    """Remove folders that the removal of a file has left empty."""
    while path != folder and path.is_relative_to(folder) and not any(path.iterdir()):
        path.rmdir()
        path = path.parent
