"""A models folder to its model files and problems; a broken file never stops the others."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from textmill.folder.entry import Entry, read_entry
from textmill.folder.external import External
from textmill.folder.location import Refused, inside
from textmill.folder.loose import loose_models
from textmill.folder.model import Alias, Folder, ModelFile
from textmill.folder.nodes import Items, Node, Table
from textmill.folder.problem import Problem, Problems
from textmill.folder.reading import Document, Unreadable, read_file
from textmill.folder.snapshot import Stamped, take_paths

ENDINGS = (".yaml", ".yml")

_WRITTEN = "its weights are still being written"


def scan(
    path: Path,
    *,
    external: Mapping[str, External] | None = None,
    config_files: Sequence[Path] = (),
    others: Collection[str] = (),
    before: Folder | None = None,
    moving: Collection[str] = (),
    python: Sequence[str] = (),
) -> Folder:
    """What a models folder offers; nothing where there is no such folder, and what ``before`` had, with a problem, where it cannot be read.

    ``external`` are backends that run as processes, ``python`` the modules that models with the backend python may be of. ``config_files`` are YAML files elsewhere whose models are in this folder
    (LocalAI's --models-config-file). ``others`` are names of models that are served besides, which an alias may stand for.
    ``moving`` are files, by their paths below the folder, that are being written: what ``before`` knew of them stays.
    """
    root = path.absolute()
    made = _Scan(root, external or {}, before or Folder(root), frozenset(moving), python)
    try:
        paths = take_paths(root)
    except NotADirectoryError:
        return Folder(root, problems=(Problem("error", root, 0, "", "the models folder is not a folder"),))
    except OSError as error:
        why = Problem("error", root, 0, "", f"the models folder cannot be read: {error.strerror}")
        if before is None:
            return Folder(root, problems=(why,))
        return replace(before, problems=(*(each for each in before.problems if each != why), why))
    for file in paths:
        if not file.name.startswith(".") and file.name.lower().endswith(ENDINGS):
            made.read(file)
    for file in config_files:
        made.read(file.absolute())
    made.add_loose(loose_models(paths, root, made.stamped))
    return made.folder(others)


@dataclass(slots=True)
class _Scan:
    """The models of a folder as they are found, by name."""

    root: Path
    external: Mapping[str, External]
    before: Folder
    moving: frozenset[str]
    python: Sequence[str] = ()
    stamped: Stamped = field(default_factory=dict)
    models: dict[str, ModelFile] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read(self, file: Path) -> None:
        """Read a YAML file's entries."""
        if os.path.relpath(file, self.root) in self.moving:
            self._keep(file)
            return
        problems = Problems(file)
        try:
            if file.parent == self.root:
                inside(file.name, self.root)
            document = read_file(file)
        except Unreadable as unreadable:
            problems.error(unreadable.line, "", unreadable.sentence)
        except Refused as refused:
            problems.error(0, "", str(refused))
        else:
            self._entries(file, document, problems)
        self.problems += problems.found

    def _entries(self, file: Path, document: Document, problems: Problems) -> None:
        if document.more:
            problems.warn(
                document.more, "", "only the first document of the file counts; write a list for several models"
            )
        for node in _nodes(document.root):
            if not isinstance(node, Table):
                problems.error(node.line, "", "it must hold a mapping of fields, or a list of such mappings")
                continue
            entry = Entry(node, Problems(file), self.root, self.external, self.stamped, self.python)
            self._add(read_entry(entry), entry)
            self.problems += entry.problems.found

    def _add(self, made: ModelFile | Alias | None, entry: Entry) -> None:
        if made is None:
            old = self.before.by_name.get(entry.problems.model)
            if old is not None and old.file == entry.problems.file and self._moves(old):
                entry.problems.found.clear()  # its weights were read while they are being written
                self.models.setdefault(old.name, old)
            return
        first = self.models.get(made.name) or self.aliases.get(made.name)
        if first is not None:
            place = f"line {first.line} of {first.file.name}"
            entry.error("name", f"a model is called so already, in {place}, which is the one that is served")
        elif isinstance(made, Alias):
            self.aliases[made.name] = made
        else:
            self.models[made.name] = self._settled(made)

    def add_loose(self, found: Iterable[ModelFile | Problem]) -> None:
        """Add weights that no model file has taken the name of; those that one uses are not listed."""
        used = {model.location.path for model in self.models.values()}
        for each in found:
            if isinstance(each, Problem):
                name = os.path.relpath(each.file, self.root)
                if not any(path == name or path.startswith(f"{name}/") for path in self.moving):
                    self.problems.append(each)
            elif each.name not in self.models and each.name not in self.aliases:
                listed = each.listed and each.location.path not in used
                self.models[each.name] = self._settled(replace(each, listed=listed))
        for old in self.before.files:
            if not old.line and old.name not in self.aliases and self._moves(old):
                self.models.setdefault(old.name, old)

    def _keep(self, file: Path) -> None:
        """Take over what was known of a file."""
        for model in self.before.files:
            if model.file == file and model.line:
                self.models.setdefault(model.name, model)
        for alias in self.before.aliases:
            if alias.file == file:
                self.aliases.setdefault(alias.name, alias)
        self.problems += [problem for problem in self.before.problems if problem.file == file]

    def _settled(self, model: ModelFile) -> ModelFile:
        """The model, or what was known of it while its weights are being written."""
        old = self.before.by_name.get(model.name)
        if not self._moves(model) and (old is None or not self._moves(old)):
            return model
        return old if old is not None else replace(model, refusal=_WRITTEN)

    def _moves(self, model: ModelFile) -> bool:
        return any(stamp.path in self.moving for stamp in model.stamps)

    def folder(self, others: Collection[str]) -> Folder:
        """All that was found, without aliases of nothing."""
        kept = []
        for alias in self.aliases.values():
            why = self._wrong(alias, others)
            if why:
                self.problems.append(Problem("error", alias.file, alias.line, "alias", why, alias.name))
            else:
                kept.append(alias)
        return Folder(
            self.root,
            tuple(sorted(self.models.values(), key=lambda model: model.name)),
            tuple(sorted(kept, key=lambda alias: alias.name)),
            tuple(sorted(self.problems, key=lambda problem: (str(problem.file), problem.line, problem.key))),
        )

    def _wrong(self, alias: Alias, others: Collection[str]) -> str:
        if alias.target in self.aliases:
            return "it names another alias; name the model itself"
        return (
            "" if alias.target in self.models or alias.target in others else f"there is no model called {alias.target}"
        )


def _nodes(root: Node | None) -> Sequence[Node]:
    if root is None:
        return ()
    return root.items if isinstance(root, Items) else (root,)
