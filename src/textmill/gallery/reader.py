"""Small documents, from any address that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textmill.errors import InvalidInput
from textmill.gallery.access import Access, shown
from textmill.gallery.local import allowed_file
from textmill.gallery.stop import Stop
from textmill.gallery.uri import HubFile, LocalFile, Url, parse, url_of
from textmill.gallery.web import Web

_UNCHANGED = 304


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes and the ETag that they came with; ``unchanged`` says that the caller has them already."""

    data: bytes
    etag: str = ""
    unchanged: bool = False


class Reader:
    """Reads documents of hub repositories, GitHub, the web, and the folders that files may come from."""

    def __init__(self, access: Access, web: Callable[[], Web], folders: Sequence[Path]) -> None:
        self._access = access
        self._web = web
        self._folders = tuple(folders)

    def read(self, address: str, *, limit: int, stop: Stop, etag: str = "") -> Document:
        """A whole document of at most ``limit`` bytes.

        A document that is nothing but the name of another, as a link in a Git repository is, leads there, once.
        """
        document = self._one(address, limit, stop, etag)
        link = _link(document.data)
        if link is None:
            return document
        where = link if ":" in link else f"{address.rpartition('/')[0]}/{link}{_branch(address)}"
        return self._one(where, limit, stop, "")

    def _one(self, address: str, limit: int, stop: Stop, etag: str) -> Document:
        uri = parse(address, self._access)
        match uri:
            case LocalFile(path=path):
                real = allowed_file(path, self._folders)
                if real.stat().st_size > limit:
                    msg = f"{path} is larger than {limit:,} bytes, the most that such a file may have"
                    raise InvalidInput(msg, param="url")
                return Document(real.read_bytes())
            case HubFile():
                url = url_of(uri, self._access)
            case Url():
                url = uri.url
            case _:
                msg = f"{shown(address)} is no address of a document"
                raise InvalidInput(msg, param="url")
        headers = {"If-None-Match": etag} if etag else {}
        got = self._web().get(url, limit=limit, stop=stop, headers=headers, accepted=frozenset({_UNCHANGED}))
        if got.status == _UNCHANGED:
            return Document(b"", etag, unchanged=True)
        return Document(got.body, got.headers.get("etag", ""))


def _link(data: bytes) -> str | None:
    """The name in a document that is one short line and ends like a document's name."""
    if len(data) > 500 or b"\n" in data.strip():  # noqa: PLR2004 - longer than any path that people write
        return None
    text = data.decode("utf-8", "replace").strip()
    return text if text.endswith((".yaml", ".yml", ".ref")) and " " not in text and "{" not in text else None


def _branch(address: str) -> str:
    """The ``@branch`` at the end of an address, where it has one."""
    name = address.rpartition("/")[2]
    return f"@{name.partition('@')[2]}" if "@" in name else ""
