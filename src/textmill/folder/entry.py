"""One entry of a YAML file to a model file or an alias, or to the problems that keep it from being one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from textmill.errors import ConfigInvalid, ModelBroken
from textmill.folder.backend_options import read_options
from textmill.folder.backends import NAME, Backend, Unknown, find_backend, outside
from textmill.folder.capabilities import USECASES, capabilities, usecase
from textmill.folder.decode import decode
from textmill.folder.engines import HERE, Choice, by_type, choose_engine
from textmill.folder.external import External
from textmill.folder.fields import Fields
from textmill.folder.location import Location, Refused, inside, locate, nothing_there
from textmill.folder.model import Alias, ModelFile
from textmill.folder.nodes import Node, Table
from textmill.folder.problem import Problems
from textmill.folder.prompts import ArtifactSource
from textmill.folder.python_object import refusal_of
from textmill.folder.remote import DOES
from textmill.folder.remote_options import remote_of
from textmill.folder.snapshot import Stamped, stamps
from textmill.folder.weights import Facts, look
from textmill.folder.wishes import Note, wishes

_MAX_NAME = 256
_OWN_OPTIONS = ("external", "python")
"""Engines whose models have options that only these know."""
_PATHS = ("mmproj", "draft_model", "lora_adapter", "lora_base", "prompt_cache_path")
"""Fields whose value is a path below the models folder."""

_EXPECTED = "expect_fingerprint"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands in a file of the models folder ``root``, with the backends that run outside of textmill, and the modules of Python that models may be of."""

    table: Table
    problems: Problems
    root: Path
    external: Mapping[str, External]
    stamped: Stamped = field(default_factory=dict)
    python: Sequence[str] = ()

    def line(self, key: str) -> int:
        """The line of a dotted key; that of the entry where it does not stand there."""
        node: Node = self.table
        line = self.table.line
        for part in key.partition("[")[0].split("."):
            if not isinstance(node, Table) or part not in node.pairs:
                break
            line, node = node.pairs[part]
        return line

    def error(self, key: str, sentence: str) -> None:
        """Note an error at a key."""
        self.problems.error(self.line(key), key, sentence)

    def warn(self, key: str, sentence: str) -> None:
        """Note a warning at a key."""
        self.problems.warn(self.line(key), key, sentence)


def read_entry(entry: Entry) -> ModelFile | Alias | None:
    """What an entry says; None where it has an error, which is then among its problems."""
    fields = decode(Fields, entry.table, entry.problems)
    name = _name(entry, fields)
    made: ModelFile | Alias | None = None
    if name:
        entry.problems.call(name)
        made = _alias(entry, name, fields) if (fields.alias or "").strip() else _model(entry, name, fields)
    return None if entry.problems.failed else made


def _name(entry: Entry, fields: Fields) -> str:
    name = (fields.name or "").strip()
    if not name:
        if not any(problem.key == "name" and problem.level == "error" for problem in entry.problems.found):
            entry.error("name", "the entry has no name, which clients would call the model by")
        return ""
    if not name.isprintable() or len(name) > _MAX_NAME:
        entry.error("name", f"it must be at most {_MAX_NAME} characters that can be printed, on one line")
        return ""
    return name


def _alias(entry: Entry, name: str, fields: Fields) -> Alias:
    target = (fields.alias or "").strip()
    if target == name:
        entry.error("alias", "it must name another model")
    for key, value in (("backend", fields.backend), ("model", fields.model), ("parameters.model", _below(fields))):
        if value:
            entry.error(key, f"an alias has none: it answers as {target} does")
    return Alias(name, target, entry.problems.file, entry.table.line)


def _model(entry: Entry, name: str, fields: Fields) -> ModelFile | None:
    found = _backend(entry, fields)
    backend = found if isinstance(found, Backend) else None
    location = _location(entry, fields, backend)
    if location is None:
        return None
    facts = _facts(entry, location)
    said, notes = read_options(fields.options or ())
    for note in () if backend is not None and backend.engine in _OWN_OPTIONS else notes:
        entry.warn("options", note)
    can = capabilities(fields, backend, facts, _words(location))
    wished = wishes(fields, said, backend, can)
    choice = _unknown(found) if isinstance(found, Unknown) else choose_engine(backend, location, facts, can)
    choice = _allowed(by_type(choice, fields.type or "", backend, facts), location, entry.python)
    for key, sentence in (*wished.errors, *_of_server(choice, backend, said, can)):
        entry.error(key, sentence)
    runs = choice.engine == "ours" and (choice.refusal is None or location.missing)
    for key, sentence in (*(wished.warnings if runs else ()), *_idle(fields, choice)):
        entry.warn(key, sentence)
    if choice.engine != "external":  # such a backend has places of its own
        _missing(entry, location)
    for word in fields.known_usecases or ():
        if usecase(word) not in USECASES:
            entry.warn("known_usecases", f"textmill does nothing that is called {word!r}")
    return ModelFile(
        name=name,
        file=entry.problems.file,
        line=entry.table.line,
        fields=fields,
        backend=backend.name if backend is not None else (fields.backend or ""),
        engine=choice.engine,
        external=entry.external.get(backend.name.lower()) if backend is not None else None,
        location=location,
        facts=facts,
        stamps=stamps(location.path, entry.root, entry.stamped)
        if location.path is not None and not location.comes
        else (),
        capabilities=can,
        options=MappingProxyType(_options(_places(fields, location), wished.options, choice)),
        defaults=wished.defaults,
        backend_options=said,
        refusal=choice.refusal,
        reasons=(choice.why,),
    )


def _options(places: Mapping[str, object], wished: Mapping[str, object], choice: Choice) -> dict[str, object]:
    """The options of a model: of engines that do not take them, which fingerprint is expected, as every model has one."""
    if choice.engine in HERE:
        return {**places, **wished}
    return {name: value for name, value in wished.items() if name == _EXPECTED}


def _idle(fields: Fields, choice: Choice) -> Iterator[Note]:
    """What the file states by textmill's own names for an engine that does not take it."""
    for name in () if choice.engine in HERE else (fields.textmill or {}):
        if name != _EXPECTED:
            yield f"textmill.{name}", f"it has no effect on a model of engine {choice.engine}"


def _allowed(choice: Choice, location: Location, python: Sequence[str]) -> Choice:
    """The choice, with its refusal where it is an object of a module that may not be imported."""
    return replace(choice, refusal=refusal_of(location.named, python)) if choice.engine == "python" else choice


def _of_server(
    choice: Choice, backend: Backend | None, said: Mapping[str, str], can: Collection[str]
) -> Iterator[Note]:
    """What is wrong with the options of a server elsewhere, and with what its model is for."""
    if choice.engine == "remote" and choice.refusal is None and backend is not None:
        try:
            does = DOES[remote_of(backend.name, said).dialect]
        except ConfigInvalid as error:
            yield "options", str(error)
            return
        if not does & set(can):
            words = ", ".join(sorted(does))
            yield (
                "known_usecases",
                f"by backend {backend.name} textmill has models do {words}; for others, take backend: remote",
            )


def _backend(entry: Entry, fields: Fields) -> Backend | Unknown | None:
    """What the backend's name means; a process of that name comes before our own engines."""
    name = (fields.backend or "").strip()
    if not name:
        return None
    if not NAME.fullmatch(name):
        entry.error("backend", "it must be a name of letters, digits, dots, dashes and underscores")
        return None
    found = find_backend(name)
    for called in dict.fromkeys((name.lower(), found.name)):
        if called in entry.external:
            return outside(called, found)
    if isinstance(found, Unknown):
        entry.warn("backend", _said(found))
    return found


def _said(unknown: Unknown) -> str:
    near = f"; did you mean {unknown.nearest}?" if unknown.nearest else ""
    return f"there is no backend of that name, nor is it in EXTERNAL_GRPC_BACKENDS{near}"


def _unknown(unknown: Unknown) -> Choice:
    return Choice("elsewhere", "its backend is unknown", f"backend {unknown.name}: {_said(unknown)}")


def _below(fields: Fields) -> str | None:
    return fields.parameters.model if fields.parameters is not None else None


def _location(entry: Entry, fields: Fields, backend: Backend | None) -> Location | None:
    """Where the weights are; None where that is an error."""
    for key, path in _paths(fields):
        try:
            inside(path, entry.root)
        except Refused as refused:
            entry.error(key, str(refused))
    below, above = _below(fields), fields.model
    if below and above and below != above:
        entry.error(
            "model", f"it differs from parameters.model in line {entry.line('parameters.model')}; say one of them"
        )
        return None
    key, model = ("parameters.model", below) if below else ("model", above)
    if not model and (repo := _artifact(fields).repo):
        return _located(entry, "artifacts", repo, fields)
    if not model:
        entry.error(
            "parameters", "it names no model: parameters.model is the file, folder or repository of the weights"
        )
        return None
    if backend is not None and backend.engine in ("remote", "python"):
        return Location(named=model)
    short = (backend is None and bool(fields.embeddings)) or (
        backend is not None and backend.type == "SentenceTransformer"
    )
    return _located(entry, key, model, fields, short_names=short)


def _located(entry: Entry, key: str, model: str, fields: Fields, *, short_names: bool = False) -> Location | None:
    try:
        found = locate(model, entry.root, short_names=short_names)
        return replace(found, awaited=True) if _is_awaited(found, entry.root, fields) else found
    except Refused as refused:
        entry.error(key, str(refused))
        return None


def _is_awaited(location: Location, root: Path, fields: Fields) -> bool:
    """Whether a file that the model has downloaded lies at or below the path of its weights, and is missing."""
    targets = (root / file.filename for file in fields.download_files or () if file.filename and file.uri)
    path = location.path
    return path is not None and any(each.is_relative_to(path) and not each.exists() for each in targets)


def _artifact(fields: Fields) -> ArtifactSource:
    """The source of the first artifact."""
    source = fields.artifacts[0].source if fields.artifacts else None
    return source if source is not None else ArtifactSource()


def _places(fields: Fields, location: Location) -> dict[str, object]:
    """Options that say which of the weights are meant."""
    source, found = _artifact(fields), dict[str, object]()
    if location.file.endswith((".onnx", ".xml")):
        found["file"] = location.file
    revision = location.revision or (source.revision if source.repo == location.repo else "")
    if location.repo and revision:
        found["revision"] = revision
    return found


def _paths(fields: Fields) -> Iterator[tuple[str, str]]:
    """Keys and values of the other fields that are paths below the models folder."""
    for name in _PATHS:
        value = getattr(fields, name)
        if value:
            yield name, value
    for index, path in enumerate(fields.lora_adapters or ()):
        yield f"lora_adapters[{index}]", path
    for index, file in enumerate(fields.download_files or ()):
        if file.filename:
            yield f"download_files[{index}].filename", file.filename


def _facts(entry: Entry, location: Location) -> Facts | None:
    if location.path is None or location.missing or location.comes:
        return None
    try:
        return look(location.path)
    except ModelBroken as error:
        entry.error("parameters.model", str(error))
        return None


def _words(location: Location) -> str:
    """The words that may say what a model is for."""
    if location.path is not None and not location.uri:
        return location.path.name
    return f"{location.repo} {location.file} {location.uri} {location.named}".strip()


def _missing(entry: Entry, location: Location) -> None:
    """Warn of weights that are not there and do not come; that an engine is to come is no fault of the file."""
    if location.path is not None and location.missing and not location.comes:
        entry.warn("model" if "model" in entry.table.pairs else "parameters.model", nothing_there(location.path))
