"""Files by any address, into the models folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as replaced
from pathlib import Path

from textmill.errors import InvalidInput
from textmill.gallery.access import Access
from textmill.gallery.download import Fetched, Order, download, free_bytes, ledger_in
from textmill.gallery.entry import File
from textmill.gallery.local import allowed_file, copy
from textmill.gallery.paths import STATE, inside, safe_file
from textmill.gallery.progress import Report
from textmill.gallery.registry import locate
from textmill.gallery.stop import Stop
from textmill.gallery.uri import HubFile, Image, LocalFile, Uri, Url, canonical, parse, url_of
from textmill.gallery.web import Web


class Fetcher:
    """Fetches into one models folder. ``folders`` are where files of this machine may come from."""

    def __init__(
        self,
        folder: Path,
        access: Access,
        web: Callable[[], Web],
        folders: Sequence[Path],
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._state = folder / STATE
        self._access = access
        self._web = web
        self._folders = tuple(folders)
        self._free = free

    def fetch(self, file: File, *, replace: bool, report: Report, stop: Stop) -> Fetched:
        """A file under its name in the folder; errors are those of `textmill.gallery.download.download`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        target = inside(self._folder, safe_file(file.filename))
        sha256 = _sha256(file)
        uri = parse(file.uri, self._access)
        if isinstance(uri, LocalFile):
            source = allowed_file(uri.path, self._folders)
            if source == target.resolve():
                there = ledger_in(self._state).has(target, source.as_uri(), sha256, replace=False, stop=stop)
                return Fetched(target, target.stat().st_size, there or "", new=False)
            return copy(source, target, state=self._state, sha256=sha256, replace=replace, report=report, stop=stop)
        if isinstance(uri, Image) and target.exists() and not replace:
            # The registry need not be asked for what came from it.
            there = ledger_in(self._state).has(target, canonical(uri), sha256, replace=False, stop=stop)
            return Fetched(target, target.stat().st_size, there or "", new=False)
        order = replaced(self._order(uri, target, sha256, stop), replace=replace)
        return download(order, self._web(), report=report, stop=stop, free=self._free)

    def title(self, image: Image, stop: Stop) -> str | None:
        """The name that an image's layer has, where it has a plain one."""
        title = locate(image, self._web(), stop).title
        try:
            return str(safe_file(title)) if title else None
        except InvalidInput:
            return None

    def _order(self, uri: Uri, target: Path, sha256: str | None, stop: Stop) -> Order:
        """What to fetch for an address of the network."""
        match uri:
            case HubFile():
                url = url_of(uri, self._access)
            case Url():
                url = uri.url
            case Image():
                return self._layer(uri, target, sha256, stop)
            case _:
                msg = f"{canonical(uri)} is a whole repository, not a file; name a file in it"
                raise InvalidInput(msg, param="files")
        return Order(url=url, origin=canonical(uri), target=target, state=self._state, sha256=sha256)

    def _layer(self, image: Image, target: Path, sha256: str | None, stop: Stop) -> Order:
        blob = locate(image, self._web(), stop)
        if sha256 is not None and sha256 != blob.sha256:
            msg = f"{canonical(image)} has sha256 {blob.sha256}, where {sha256} is due; the gallery is outdated"
            raise InvalidInput(msg, param="files")
        return Order(
            url=blob.url,
            origin=canonical(image),
            target=target,
            state=self._state,
            sha256=blob.sha256,
            size=blob.size or None,
            headers=blob.headers,
        )


def _sha256(file: File) -> str | None:
    """The hash of a file entry in lower case; raises InvalidInput for what is none."""
    value = file.sha256.strip().lower().removeprefix("sha256:")
    if not value:
        return None
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):  # noqa: PLR2004 - of a sha256
        msg = f"{file.filename} has {file.sha256!r} as its sha256, which is no hash of 64 hex digits"
        raise InvalidInput(msg, param="files")
    return value
