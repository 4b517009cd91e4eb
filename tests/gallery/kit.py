"""A server that has a gallery, its documents and its files, and a models folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from textmill.gallery.entry import Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.install import Installed
from textmill.gallery.modelfiles import Outside
from textmill.gallery.progress import Report
from textmill.gallery.remove import Removed
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Repository
from textmill.gallery.wish import Wish
from textmill.testing.fileserver import FileServer

WEIGHTS = b"GGUF" + b"w" * 5000


SHARED = b"shared tokenizer"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Kit:
    server: FileServer
    gallery: Gallery
    folder: Path

    def names(self) -> list[str]:
        """Everything in the folder that is not the room's own."""
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and ".textmill" not in path.parts
        )

    def config(self, name: str) -> Any:
        return yaml.safe_load((self.folder / f"{name}.yaml").read_text())

    def entries(self, *entries: dict[str, Any]) -> None:
        self.server.files["/index.yaml"] = yaml.safe_dump(list(entries)).encode()

    def install(self, **wish: Any) -> Installed:
        done = self.gallery.carry_out(msgspec.convert(wish, Wish))
        assert isinstance(done, Installed)
        return done

    def delete(self, name: str) -> Removed:
        done = self.gallery.carry_out(Wish(delete=name))
        assert isinstance(done, Removed)
        return done

    def beside(self, index: str = "/index.yaml", **outside: Any) -> Kit:
        """The same folder, where a server has models besides it, and a gallery of that index."""
        sources = (Source("beside", self.server.url(index)),)
        gallery = Gallery(self.folder, sources=sources, access=self.gallery._access, outside=Outside(**outside))
        return Kit(self.server, gallery, self.folder)

    def file(self, path: str, data: bytes = WEIGHTS, **fields: str) -> dict[str, str]:
        """A file entry for a file that the server has."""
        self.server.files[f"/{path}"] = data
        return {"filename": path, "uri": self.server.url(f"/{path}"), "sha256": sha256(data), **fields}


class Kept:
    """A place for repositories that notes what is put there."""

    def __init__(self) -> None:
        self.asked: list[Repository] = []
        self.there: set[Repository] = set()

    def has(self, repository: Repository) -> bool:
        return repository in self.there

    def fetch(self, repository: Repository, report: Report, stop: Stop) -> None:  # noqa: ARG002 - of the protocol
        self.asked.append(repository)
        self.there.add(repository)
