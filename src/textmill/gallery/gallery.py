"""The room's front: what can be installed into a models folder, installing it, and deleting it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from textmill.checkpoint.hub import is_carried
from textmill.errors import InvalidInput
from textmill.gallery.access import Access, host_and_port
from textmill.gallery.download import disk_faults
from textmill.gallery.entry import Entry, File, Source, completed
from textmill.gallery.fetcher import Fetcher
from textmill.gallery.index import Index, Problem
from textmill.gallery.install import Installed, install
from textmill.gallery.modelfiles import Outside
from textmill.gallery.paths import STATE, safe_model
from textmill.gallery.progress import Report, silent
from textmill.gallery.reader import Reader
from textmill.gallery.remove import Removed, remove
from textmill.gallery.repository import HubCache, Repositories, files_in, gguf_of, listing
from textmill.gallery.stop import Stop
from textmill.gallery.sweep import sweep
from textmill.gallery.uri import Image, Repository, canonical, file_name, parse
from textmill.gallery.web import Web
from textmill.gallery.wish import Wish, entry_of, entry_of_gguf, entry_of_repository, is_document
from textmill.gallery.yamltext import read_yaml

_DOCUMENT = 4 << 20


@dataclass(frozen=True, slots=True)
class Available:
    """An entry, and whether a model of its name is in the folder."""

    entry: Entry
    installed: bool


class Gallery:
    """Installs into one models folder. Safe for threads and beside other processes that use the same folder.

    ``sources`` are galleries in order, ``folders`` where ``file://`` may read besides the models folder, ``repositories`` keeps
    whole repositories of the hub, huggingface_hub's cache if none is given. What models ``outside`` of the folder use in it is neither
    deleted nor written over. Nothing is fetched before it is asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sources: Sequence[Source] = (),
        access: Access | None = None,
        folders: Sequence[Path] = (),
        repositories: Repositories | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.folder = folder
        self.sources = tuple(sources)
        self._outside = outside or Outside()
        self._access = _trusting(access or Access(), self.sources)
        self._repositories = repositories or HubCache(self._access)
        self._lock = threading.Lock()
        self._opened: Web | None = None
        allowed = (folder, *folders)
        self._reader = Reader(self._access, self._web, allowed)
        self._fetcher = Fetcher(folder, self._access, self._web, allowed)
        self._index = Index(sources, self._reader, folder / STATE / "galleries")

    def available(self, stop: Stop | None = None) -> tuple[list[Available], Sequence[Problem]]:
        """All entries of all galleries, and what is wrong with some. Raises CancelledError once ``stop`` is set."""
        catalogue = self._index.catalogue(stop)
        return [Available(entry, self._has(entry.name)) for entry in catalogue.entries], catalogue.problems

    def carry_out(self, wish: Wish, report: Report = silent, stop: Stop | None = None) -> Installed | Removed:
        """Install or delete what is wished.

        Raises:
            ModelNotFound: no gallery has it, or its files are not where they should be.
            InvalidInput: the wish, an address or a name is wrong, or something else has the name already.
            ModelBroken: a file is not what it should be.
            DownloadFailed: network, server or disk; the same wish later resumes.
            CancelledError: ``stop`` was set.
        """
        wish, stop = wish.checked(), stop or Stop()
        with disk_faults(self.folder):
            return remove(self.folder, wish.delete, self._outside) if wish.delete else self._install(wish, report, stop)

    def _install(self, wish: Wish, report: Report, stop: Stop) -> Installed:
        entry, repository = self._entry(wish, stop)

        def prepare(stop: Stop) -> None:
            stop.check()
            if repository is not None:
                self._repositories.fetch(repository, report, stop)

        source = wish.id or canonical(parse(wish.uri or wish.url, self._access))
        return install(
            entry,
            wish,
            self.folder,
            self._fetcher,
            source=source,
            report=report,
            stop=stop,
            outside=self._outside,
            prepare=prepare,
        )

    def fetch(self, file: File, report: Report = silent, stop: Stop | None = None) -> Path:
        """One file into the folder, without a model file: for what a model file says must be downloaded."""
        with disk_faults(self.folder):
            return self._fetcher.fetch(file, replace=False, report=report, stop=stop or Stop()).path

    def is_here(self, repo: str, revision: str | None) -> bool:
        """Whether all that a model of the hub needs is on this machine: in its cache, or in an installed package."""
        return self._repositories.has(Repository(repo, revision)) or (revision is None and is_carried(repo))

    def files_of(self, repo: str, revision: str | None, stop: Stop | None = None) -> tuple[str, ...]:
        """The names of a repository's files. Raises ModelNotFound where the hub has none for us, DownloadFailed where it cannot say."""
        return listing(Repository(repo, revision), self._web(), stop or Stop())

    def sweep(self) -> None:
        """Remove what a killed process left behind; to be called at the start. Unfinished downloads stay, to be resumed."""
        sweep(self.folder)

    def close(self) -> None:
        """Close connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _entry(self, wish: Wish, stop: Stop) -> tuple[Entry, Repository | None]:
        """The completed entry of a wish, and the repository that it needs."""
        if wish.id:
            entry = self._variant(self._index.find(wish.id, stop), wish.variant, stop)
            return self._completed(entry, stop), None
        address = wish.url or wish.uri
        uri = parse(address, self._access)
        if is_document(uri):
            return self._completed(Entry(name=_stem(file_name(uri)), url=address), stop), None
        if isinstance(uri, Repository):
            return self._whole(uri, wish.variant, stop)
        entry = entry_of(address, self._access)
        if isinstance(uri, Image) and not uri.ollama:
            entry = self._titled(entry, uri, stop)
        return entry, None

    def _whole(self, uri: Repository, variant: str, stop: Stop) -> tuple[Entry, Repository | None]:
        """A repository as an entry: of GGUF files in the models folder, or of what is to be put into the hub's cache."""
        cached = not variant and self._repositories.has(uri)
        files = None if cached else files_in(uri, self._web(), stop)
        parts = gguf_of(files or (), variant)
        return (entry_of_gguf(uri, parts), None) if parts else (entry_of_repository(uri), uri)

    def _completed(self, entry: Entry, stop: Stop) -> Entry:
        """The entry with its linked document, whose name it takes where it has none of a gallery."""
        if not entry.url:
            return entry
        what = f"the document of {entry.name}"
        document = read_yaml(self._reader.read(entry.url, limit=_DOCUMENT, stop=stop).data, what)
        full = completed(entry, document, what)
        named = document.get("name") if entry.gallery is None else None
        return msgspec.structs.replace(full, name=str(named)) if named else full

    def _variant(self, entry: Entry, wanted: str, stop: Stop) -> Entry:
        """The entry itself, or the one that takes its place under its name: the wished one, else the first if it has nothing itself."""
        names = [variant.model for variant in entry.variants]
        if wanted and wanted not in (*names, entry.name):
            msg = f"{entry.name} has no variant {wanted!r}; it has {', '.join(names) or 'none'}"
            raise InvalidInput(msg, param="variant")
        empty = not (entry.url or entry.files or entry.config_file or entry.overrides)
        chosen = wanted or (names[0] if empty and names else entry.name)
        if chosen == entry.name:
            return entry
        return msgspec.structs.replace(self._index.find(chosen, stop), name=entry.name)

    def _titled(self, entry: Entry, image: Image, stop: Stop) -> Entry:
        """The entry of an image with the name that the image gives its file."""
        title = self._fetcher.title(image, stop)
        if title is None:
            return entry
        [file] = entry.files
        return msgspec.structs.replace(
            entry,
            files=(msgspec.structs.replace(file, filename=title),),
            config_file={"parameters": {"model": title}},
        )

    def _has(self, name: str) -> bool:
        try:
            stem = safe_model(name)
        except InvalidInput:
            return False
        return (self.folder / f"{stem}.yaml").exists()

    def _web(self) -> Web:
        with self._lock:
            if self._opened is None:
                self._opened = Web(self._access)
            return self._opened


def _trusting(access: Access, sources: Sequence[Source]) -> Access:
    """The access with the hosts of the galleries among those that may be private: the operator has named them."""
    named = {host_and_port(url) for source in sources for url in (source.url, *source.mirrors)} - {""}
    return replace(access, allowed_hosts=access.allowed_hosts | named)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
