"""Gallery and jobs together: who is told when, and what is not shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
import yaml
from tests.gallery.kit import Kit

from textmill.gallery.access import Access, Patience
from textmill.gallery.entry import File, Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.installer import Installer
from textmill.gallery.record import Record
from textmill.gallery.wish import Wish

Make = Callable[[Gallery], Installer]


@pytest.fixture
def told() -> list[tuple[list[str], bool]]:
    """The files of each call, and whether the last job was over by then."""
    return []


@pytest.fixture
def make(told: list[tuple[list[str], bool]]) -> Iterator[Make]:
    made: list[Installer] = []

    def note(files: Collection[str]) -> None:
        told.append((list(files), list(made[-1].records().values())[-1].processed))

    def installer(gallery: Gallery) -> Installer:
        made.append(Installer(gallery, note))
        return made[-1]

    yield installer
    for each in made:
        each.close()


def ended(installer: Installer, wish: Wish) -> Record:
    key = installer.submit(wish)
    end = time.monotonic() + 10
    while not (record := installer.record(key)).processed:
        assert time.monotonic() < end, record
        time.sleep(0.005)
    return record


def test_who_follows_the_folder_is_told_before_the_job_is_over(
    kit: Kit, make: Make, told: list[tuple[list[str], bool]]
) -> None:
    installer = make(kit.gallery)
    assert ended(installer, Wish(id="test@bert")).error is None
    assert told == [(["bert.yaml", "shared.json", "bert.gguf", "bert-chat.tmpl"], False)]
    assert [(each.entry.name, each.installed) for each in installer.available()][:2] == [
        ("bert", True),
        ("owner__repo__f.q2_k.bin", False),
    ]
    assert ended(installer, Wish(delete="bert")).error is None
    assert set(told[1][0]) == {"bert.yaml", "shared.json", "bert.gguf", "bert-chat.tmpl"}
    assert ended(installer, Wish(delete="bert")).error is not None
    assert len(told) == 2


def test_no_secret_of_an_address_is_shown(kit: Kit, make: Make, tmp_path: Path) -> None:
    server = kit.server.url("").removeprefix("http://")
    kit.entries(
        {
            "name": "x",
            "url": f"http://u:SECRET@{server}/x.yaml?k=SECRET",
            "files": [{"filename": "f", "uri": "https://h.example/f?SECRET"}],
            "urls": ["https://u:SECRET@h.example/page"],
            "icon": "https://h.example/icon?sig=SECRET",
            "overrides": {
                "download_files": [{"uri": "https://h.example/f?SECRET"}, {"uri": " https://u:SECRET@h.example/f"}],
                "description": "from https://u:SECRET@h.example/f and http://h.example/f?sig=SECRET",
                "https://u:SECRET@h.example/f": "x",
                "template": {"chat": "{a}? :// b"},
            },
        }
    )
    gallery = Gallery(
        tmp_path / "models",
        sources=(Source("test", kit.server.url("/index.yaml?token=SECRET"), ("https://u:SECRET@h.example/i.yaml",)),),
        access=Access(offline=False, patience=Patience(attempts=1)),
    )
    installer = make(gallery)
    shown = repr(installer.sources) + repr(installer.available())
    assert "index.yaml" in shown
    assert "{a}? :// b" in shown
    for wish in (
        Wish(id="x"),
        Wish(id="user:SECRET@h.example/x"),
        Wish(url=kit.server.url("/none.yaml?token=SECRET")),
        Wish(uri="https://user:SECRET@h.example/f.gguf"),
        Wish(uri=" https://user:SECRET@h.example/f.gguf"),
        Wish(delete="http://user:SECRET@h.example/f.gguf"),
        Wish(uri="ftp://user:SECRET@h.example/f.gguf"),
        Wish(uri="user:SECRET@h.example/f.gguf"),
        Wish(uri="https://h.example/?SECRET"),
        Wish(uri=kit.server.url("/none.gguf?SECRET"), files=(File(filename="f", uri="ftp://u:SECRET@h"),)),
    ):
        record = ended(installer, wish)
        assert record.error
        shown += repr(record)
    assert "SECRET" not in shown
    installer.close()
    for kept in (tmp_path / "models" / ".textmill" / "jobs").glob("*.json"):
        assert "SECRET" not in kept.read_text()


@pytest.mark.parametrize(
    "wish",
    [
        Wish(uri="file:///etc/passwd"),
        Wish(url="file:///etc/hosts.yaml"),
        Wish(uri="file:///{folder}/../outside/secret.gguf"),
        Wish(uri="file:///{folder}/link.gguf"),
        Wish(url="file:///{folder}/link.yaml"),
        Wish(uri="http://127.0.0.1:1/x.gguf"),
        Wish(url="http://169.254.169.254/latest/meta-data.yaml"),
        Wish(uri="http://[::ffff:10.0.0.1]/x.gguf"),
        Wish(id="test@evil"),
        Wish(id="test@absolute"),
        Wish(id="test@named"),
        Wish(id="test@bert", overrides={"parameters": {"model": "/etc/passwd"}}),
        Wish(id="test@bert", overrides={"mmproj": "../outside/secret.gguf"}),
        Wish(id="test@bert", files=(File(filename="linked/x", uri="{server}/f.bin"),)),
        Wish(delete="../outside/secret.gguf"),
        Wish(delete="/etc/passwd"),
        Wish(delete="linked/secret.gguf"),
        Wish(delete=".textmill"),
    ],
    ids=lambda wish: wish.title,
)
def test_nothing_outside_of_the_folder_is_read_written_or_deleted(wish: Wish, kit: Kit, make: Make) -> None:
    outside = kit.folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.gguf").write_bytes(b"GGUF top secret")
    (outside / "secret.yaml").write_text(yaml.safe_dump({"name": "secret", "parameters": {"model": "secret"}}))
    kit.folder.mkdir()
    (kit.folder / "link.gguf").symlink_to(outside / "secret.gguf")
    (kit.folder / "link.yaml").symlink_to(outside / "secret.yaml")
    (kit.folder / "linked").symlink_to(outside)
    bad = {"uri": kit.server.url("/bert.gguf")}
    kit.entries(
        {"name": "evil", "files": [{"filename": "../outside/new.gguf", **bad}]},
        {"name": "absolute", "config_file": {"parameters": {"model": str(outside / "secret.gguf")}}},
        {"name": "../named", "files": [{"filename": "f.gguf", **bad}]},
        {"name": "named", "url": kit.server.url("/bert.yaml"), "files": [{"filename": "linked/f.gguf", **bad}]},
        {"name": "bert", "url": kit.server.url("/bert.yaml")},
    )
    text = {"folder": str(kit.folder).lstrip("/"), "server": kit.server.url("")}
    files = tuple(File(filename=each.filename, uri=each.uri.format(**text)) for each in wish.files)
    asked = Wish(
        id=wish.id,
        url=wish.url.format(**text),
        uri=wish.uri.format(**text),
        delete=wish.delete,
        overrides=wish.overrides,
        files=files,
    )
    before = sorted(path.name for path in outside.iterdir())
    record = ended(make(kit.gallery), asked)
    assert record.error, record
    assert "top secret" not in repr(record)
    assert sorted(path.name for path in outside.iterdir()) == before
    assert (outside / "secret.gguf").read_bytes() == b"GGUF top secret"
    assert not [
        name
        for name in kit.names()
        if name not in ("link.gguf", "link.yaml") and not name.startswith(("linked", "shared", "f.bin", "bert"))
    ]
