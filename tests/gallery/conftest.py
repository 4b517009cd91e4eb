from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.gallery.kit import SHARED, Kept, Kit

from textmill.gallery.access import Access, Patience
from textmill.gallery.download import Fetched, Order, download
from textmill.gallery.entry import Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.progress import Report, silent
from textmill.gallery.stop import Stop
from textmill.gallery.web import Web
from textmill.testing.fileserver import FileServer, file_server

QUICK = Patience(connect=2.0, stall=0.5, attempts=3, first_wait=0.01, longest_wait=0.05)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def access(server: FileServer) -> Access:
    """The hub, GitHub and Ollama's registry are the file server."""
    return Access(endpoint=server.url(""), github=server.url("/github"), ollama=server.url("/ollama"), patience=QUICK)


@pytest.fixture
def web(access: Access) -> Iterator[Web]:
    opened = Web(access)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Getting:
    """Downloads of the file server's files into a folder."""

    server: FileServer
    web: Web
    folder: Path

    def target(self, name: str = "model.bin") -> Path:
        return self.folder / name

    def order(self, path: str = "/model.bin", *, sha256: str | None = None, size: int | None = None) -> Order:
        name = path.rpartition("/")[2]
        return Order(
            url=self.server.url(path),
            origin=self.server.url(path),
            target=self.target(name),
            state=self.folder / "state",
            sha256=sha256,
            size=size,
        )

    def get(
        self,
        path: str = "/model.bin",
        *,
        sha256: str | None = None,
        size: int | None = None,
        report: Report = silent,
        stop: Stop | None = None,
    ) -> Fetched:
        return download(self.order(path, sha256=sha256, size=size), self.web, report=report, stop=stop)

    def left(self) -> list[str]:
        """The names in the folder, without the room's own."""
        return sorted(path.name for path in self.folder.iterdir() if path.name != "state")


@pytest.fixture
def getting(server: FileServer, web: Web, tmp_path: Path) -> Getting:
    return Getting(server, web, tmp_path)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def kit(server: FileServer, access: Access, tmp_path: Path, kept: Kept) -> Kit:
    folder = tmp_path / "models"
    gallery = Gallery(
        folder,
        sources=(Source("test", server.url("/index.yaml")),),
        access=access,
        repositories=kept,
    )
    made = Kit(server, gallery, folder)
    server.files["/bert.yaml"] = yaml.safe_dump(
        {
            "name": "doc",
            "description": "of the document",
            "config_file": yaml.safe_dump({"backend": "llama-cpp", "parameters": {"model": "bert.bin", "top_k": 80}}),
            "files": [made.file("shared.json", SHARED)],
            "prompt_templates": [{"name": "bert-chat", "content": "Q: {{.Input}}"}],
        }
    ).encode()
    made.entries(
        {
            "name": "bert",
            "url": server.url("/bert.yaml"),
            "overrides": {"parameters": {"model": "bert.gguf"}},
            "files": [made.file("bert.gguf")],
        },
        {
            "name": "owner__repo__f.q2_k.bin",
            "config_file": {"parameters": {"model": "f.bin"}},
            "files": [made.file("f.bin")],
        },
        {"name": "choice", "variants": [{"model": "bert"}, {"model": "owner__repo__f.q2_k.bin"}]},
    )
    return made
