"""What galleries say about a model: entries of indexes, in the current and the old format, and the documents they link to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from textmill.errors import InvalidInput
from textmill.gallery.yamltext import merged, plain, read_yaml

_CONFIG_KEYS = frozenset({"backend", "parameters", "embeddings", "template", "model", "reranking"})
_DOCUMENT_KEYS = frozenset({"config_file", "files", "prompt_templates", "overrides"})


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gallery: its name, the address of its index, and others that have the same index."""

    name: str
    url: str
    mirrors: tuple[str, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs to a model."""

    filename: str
    uri: str
    sha256: str = ""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt template, to become the file NAME.tmpl."""

    name: str
    content: str = ""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Another entry that may be installed in this one's place."""

    model: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be installed. ``url`` links to a document with more of the same fields, see `completed`."""

    name: str
    url: str = ""
    description: str = ""
    license: str = ""
    urls: tuple[str, ...] = ()
    icon: str = ""
    tags: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    config_file: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    prompt_templates: tuple[Template, ...] = ()
    variants: tuple[Variant, ...] = ()
    size: str = ""
    last_checked: str = ""
    gallery: Source | None = None

    @property
    def backend(self) -> str:
        """The backend that the entry names; empty where its document or the file will tell."""
        return str(merged(self.config_file, self.overrides).get("backend") or "")


def read_entry(raw: Any, what: str, gallery: Source | None = None) -> Entry:
    """An entry from YAML; raises InvalidInput, naming ``what`` and the field, for one that is broken."""
    if not isinstance(raw, Mapping):
        msg = f"{what} is not a mapping"
        raise InvalidInput(msg)
    tidy = {key: _tidy(key, value, what) for key, value in raw.items() if value is not None and key != "gallery"}
    try:
        entry = msgspec.convert(tidy, Entry)
    except msgspec.ValidationError as error:
        msg = f"{what} is broken: {error}"
        raise InvalidInput(msg) from error
    if not entry.name.strip():
        msg = f"{what} has no name"
        raise InvalidInput(msg)
    return msgspec.structs.replace(entry, gallery=gallery)


def completed(entry: Entry, document: Any, what: str) -> Entry:
    """An entry with what its linked document says: the entry's own words win, files and templates are joined by name.

    A document that is itself a model file is taken as its ``config_file``.
    """
    if not isinstance(document, Mapping):
        msg = f"{what} is not a mapping, so it describes no model"
        raise InvalidInput(msg)
    if not _DOCUMENT_KEYS & document.keys() and _CONFIG_KEYS & document.keys():
        document = {"name": document.get("name"), "config_file": plain(document)}
    linked = read_entry({**document, "name": document.get("name") or entry.name}, what)
    files = {file.filename: file for file in (*linked.files, *entry.files)}
    templates = {template.name: template for template in (*linked.prompt_templates, *entry.prompt_templates)}
    return msgspec.structs.replace(
        entry,
        description=entry.description or linked.description,
        license=entry.license or linked.license,
        urls=entry.urls or linked.urls,
        files=tuple(files.values()),
        prompt_templates=tuple(templates.values()),
        config_file=merged(linked.config_file, entry.config_file),
        overrides=merged(linked.overrides, entry.overrides),
    )


def config_of(entry: Entry, overrides: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The model file of a completed entry: its config, under its overrides, under the request's, with the name first."""
    config: dict[str, Any] = merged(merged(entry.config_file, entry.overrides), overrides)
    config.pop("name", None)
    return {"name": name, **config}


def _tidy(key: str, value: Any, what: str) -> Any:
    """What people write in place of what is meant: YAML as a text, one text for a list of them, numbers for texts."""
    if key == "config_file" and isinstance(value, str):
        return read_yaml(value, f"the config_file of {what}") or {}
    if key in ("urls", "tags"):
        return [str(each) for each in ([value] if isinstance(value, str) else value)]
    if key in ("size", "last_checked", "license", "name") and isinstance(value, (int, float)):
        return str(value)
    if key == "files" and isinstance(value, list):
        return [
            {k: v for k, v in each.items() if v is not None} if isinstance(each, Mapping) else each for each in value
        ]
    return value
