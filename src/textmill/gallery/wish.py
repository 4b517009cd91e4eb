"""What somebody wants installed or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from textmill.errors import InvalidInput
from textmill.gallery.access import Access, shown
from textmill.gallery.entry import Entry, File
from textmill.gallery.paths import safe_file, safe_model
from textmill.gallery.uri import HubFile, Image, Repository, Uri, canonical, file_name, parse

_DOCUMENTS = (".yaml", ".yml", ".ref")


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of ``id`` (an entry of a gallery), ``url`` (a document that describes a model) and ``uri`` (a model itself), or ``delete``.

    ``name`` is what the model is to be called, ``overrides`` go into its model file, ``files`` are fetched too, and ``variant``
    picks one of the entry's, or one of a repository's GGUF files by a part of its name.
    """

    id: str = ""
    url: str = ""
    uri: str = ""
    delete: str = ""
    name: str = ""
    overrides: dict[str, Any] = {}
    files: tuple[File, ...] = ()
    variant: str = ""

    @property
    def title(self) -> str:
        """What to call the wish in listings and logs, without what may be secret in an address."""
        return shown(self.id) or self.name or shown(self.delete or self.url or self.uri)

    def checked(self) -> Wish:
        """The wish itself; raises InvalidInput unless it says exactly one thing, with names that stay in the folder."""
        given = [field for field in ("id", "url", "uri", "delete") if getattr(self, field).strip()]
        if len(given) != 1:
            msg = f"give exactly one of id, url and uri, not {', '.join(given) or 'none'}"
            raise InvalidInput(msg, param=given[1] if given else "id")
        if "://" in self.id:
            msg = "id is an address, not a gallery's model; give it as url where a document is there, and as uri where the model is"
            raise InvalidInput(msg, param="id")
        if self.name:
            safe_model(self.name)
        for file in self.files:
            safe_file(file.filename)
        return self


def is_document(uri: Uri) -> bool:
    """Whether an address is one of a document that describes a model, by its name."""
    return not isinstance(uri, (Repository, Image)) and file_name(uri).lower().endswith(_DOCUMENTS)


def entry_of_repository(repository: Repository) -> Entry:
    """A repository of the hub, to be used as it is, as an entry of a gallery."""
    model = repository.repo if repository.revision is None else f"{repository.repo}@{repository.revision}"
    return Entry(name=repository.repo, config_file={"parameters": {"model": model}})


def entry_of_gguf(repository: Repository, parts: Sequence[str]) -> Entry:
    """A GGUF file of a repository, in one part or several, as an entry of a gallery."""
    files = tuple(
        File(
            filename=part.rpartition("/")[2],
            uri=canonical(HubFile(repository.repo, part, repository.revision or "main")),
        )
        for part in parts
    )
    return Entry(name=repository.repo, files=files, config_file={"parameters": {"model": files[0].filename}})


def entry_of(address: str, access: Access) -> Entry:
    """The address of a model's one file as an entry of a gallery."""
    uri = parse(address, access)
    filename = file_name(uri)
    if not filename:
        msg = f"{shown(address)} names no file"
        raise InvalidInput(msg, param="uri")
    name = PurePosixPath(filename).stem if isinstance(uri, HubFile) else filename.removesuffix(".gguf")
    return Entry(
        name=name,
        files=(File(filename=filename, uri=address),),
        config_file={"parameters": {"model": filename}},
    )


def wish_for(what: str, access: Access, *, name: str = "", variant: str = "", sha256: str = "") -> Wish:
    """What a person means by one word: an address where it can be one, else an entry of a gallery.

    ``sha256`` is that of the file at the address. Raises InvalidInput for an address that is none, and where no one file is meant.
    """
    what = what.strip()
    if not what:
        msg = "there is no model without a name; give its address, or that of a gallery's model"
        raise InvalidInput(msg)
    if not is_address(what):
        if sha256:
            msg = f"{what} is an entry of a gallery, which has its files' sha256 itself; leave --sha256 out"
            raise InvalidInput(msg, param="sha256")
        return Wish(id=what, name=name, variant=variant)
    uri = parse(what, access)
    if not sha256:
        return Wish(uri=what, name=name, variant=variant)
    if isinstance(uri, (Repository, Image)) or is_document(uri):
        msg = f"{shown(what)} is not one file that could have a sha256; leave --sha256 out"
        raise InvalidInput(msg, param="sha256")
    return Wish(uri=what, name=name, variant=variant, files=(File(filename=file_name(uri), uri=what, sha256=sha256),))


def is_address(what: str) -> bool:
    """Whether a word is the address of a model, not the name of a gallery's entry: it has a slash or a colon."""
    return "/" in what or ":" in what
