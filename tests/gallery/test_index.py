from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from textmill.errors import InvalidInput, ModelNotFound
from textmill.gallery.access import Access
from textmill.gallery.entry import Source
from textmill.gallery.index import FRESH, REST, Index, read_index
from textmill.gallery.reader import Reader
from textmill.gallery.stop import Stop
from textmill.gallery.web import Web
from textmill.testing.fileserver import Fault, FileServer

ENTRIES = b"""
- &base
  name: bert
  url: github:o/r/bert.yaml
- !!merge <<: *base
  name: owner__repo__file.q2_k.bin
- name: broken
  files: nonsense
- just text
"""


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shelf:
    server: FileServer
    access: Access
    web: Web
    folder: Path
    clock: Clock = field(default_factory=Clock)

    def index(self, *sources: Source) -> Index:
        reader = Reader(self.access, lambda: self.web, (self.folder,))
        return Index(sources or (self.source(),), reader, self.folder / "kept", self.clock)

    def source(self, name: str = "main", path: str = "/index.yaml", *mirrors: str) -> Source:
        return Source(name, self.server.url(path), tuple(map(self.server.url, mirrors)))


@pytest.fixture
def shelf(server: FileServer, access: Access, web: Web, tmp_path: Path) -> Shelf:
    server.files["/index.yaml"] = ENTRIES
    return Shelf(server, access, web, tmp_path)


def names(index: Index) -> list[str]:
    return [entry.name for entry in index.catalogue().entries]


def test_a_broken_entry_stops_no_other(shelf: Shelf) -> None:
    catalogue = shelf.index().catalogue()

    assert [entry.name for entry in catalogue.entries] == ["bert", "owner__repo__file.q2_k.bin"]
    assert catalogue.entries[1].url == "github:o/r/bert.yaml"
    assert [each.sentence.partition(" is ")[0] for each in catalogue.problems] == [
        "entry 3 (broken) of the index of main",
        "entry 4 of the index of main",
    ]


def test_a_broken_gallery_stops_no_other(shelf: Shelf) -> None:
    shelf.server.files["/other.yaml"] = b"- name: other"
    shelf.server.files["/nonsense.yaml"] = b"<html>"

    index = shelf.index(
        shelf.source("gone", "/gone.yaml"),
        shelf.source("nonsense", "/nonsense.yaml"),
        shelf.source("good", "/other.yaml"),
    )

    assert names(index) == ["other"]
    assert [each.gallery for each in index.catalogue().problems] == ["gone", "nonsense"]


@pytest.mark.parametrize("name", ["bert", "BERT", "main@bert", "MAIN@Bert"])
def test_an_entry_is_found_by_its_name(shelf: Shelf, name: str) -> None:
    assert shelf.index().find(name).name == "bert"


def test_a_hub_path_finds_the_row_of_the_old_hub_wide_gallery(shelf: Shelf) -> None:
    assert shelf.index().find("Owner/Repo/file.Q2_K.bin").name == "owner__repo__file.q2_k.bin"


def test_the_first_gallery_wins_unless_one_is_named(shelf: Shelf) -> None:
    shelf.server.files["/other.yaml"] = b"- {name: bert, license: other}"
    index = shelf.index(shelf.source("first"), shelf.source("second", "/other.yaml"))

    assert index.find("bert").license == ""
    assert index.find("second@bert").license == "other"
    with pytest.raises(ModelNotFound):
        index.find("third@bert")


def test_an_unknown_name_gets_near_ones(shelf: Shelf) -> None:
    with pytest.raises(ModelNotFound, match="no gallery has a model 'bertt'; near names are bert"):
        shelf.index().find("bertt")


def test_without_galleries_the_sentence_says_so(shelf: Shelf) -> None:
    index = Index((), Reader(shelf.access, lambda: shelf.web, ()), shelf.folder)

    with pytest.raises(ModelNotFound, match="no gallery is configured"):
        index.find("x")


def test_an_unknown_name_tells_of_galleries_that_could_not_be_read(shelf: Shelf) -> None:
    with pytest.raises(ModelNotFound, match=r"the gallery gone cannot be read: .*404"):
        shelf.index(shelf.source("gone", "/gone.yaml")).find("x")


def test_an_index_is_kept_for_an_hour_and_then_asked_about_by_its_etag(shelf: Shelf) -> None:
    index = shelf.index()
    names(index)
    shelf.clock.now += FRESH - 1
    names(index)
    assert len(shelf.server.asked) == 1

    shelf.clock.now += 2
    names(index)
    names(index)

    assert len(shelf.server.asked) == 2
    assert shelf.server.asked[1].headers["if-none-match"]


def test_a_changed_index_is_taken(shelf: Shelf) -> None:
    index = shelf.index()
    names(index)
    shelf.server.files["/index.yaml"] = b"- name: new"
    shelf.clock.now += FRESH + 1

    assert names(index) == ["new"]
    assert names(shelf.index()) == ["new"]


def test_another_start_within_the_hour_needs_no_network(shelf: Shelf) -> None:
    names(shelf.index())

    assert names(shelf.index())[0] == "bert"
    assert len(shelf.server.asked) == 1


def test_a_gallery_that_cannot_be_reached_is_as_it_was_last(shelf: Shelf) -> None:
    names(shelf.index())
    shelf.server.always["/index.yaml"] = Fault(status=404)
    shelf.clock.now += FRESH + 1
    index = shelf.index()

    assert names(index)[0] == "bert"
    assert "read from an old copy" in index.catalogue().problems[-1].sentence


def test_a_source_that_failed_rests(shelf: Shelf) -> None:
    shelf.server.always["/index.yaml"] = Fault(status=404)
    index = shelf.index()
    for _ in range(3):
        assert names(index) == []
    assert len(shelf.server.asked) == 1

    shelf.server.always.clear()
    shelf.clock.now += REST + 1

    assert names(index)[0] == "bert"


def test_a_mirror_serves_where_the_source_does_not(shelf: Shelf) -> None:
    shelf.server.files["/mirror.yaml"] = b"- name: mirrored"

    assert names(shelf.index(shelf.source("main", "/gone.yaml", "/alsogone.yaml", "/mirror.yaml"))) == ["mirrored"]
    assert shelf.server.paths() == ["/gone.yaml", "/alsogone.yaml", "/mirror.yaml"]


def test_a_damaged_copy_is_not_used(shelf: Shelf) -> None:
    names(shelf.index())
    for copy in (shelf.folder / "kept").glob("*.yaml"):
        copy.write_bytes(b"- name: damaged")

    assert names(shelf.index())[0] == "bert"
    assert "if-none-match" not in shelf.server.asked[-1].headers


def test_an_index_that_is_a_link_leads_to_the_index(shelf: Shelf) -> None:
    shelf.server.files["/dir/link.yaml"] = b"real.yaml\n"
    shelf.server.files["/dir/real.yaml"] = b"- name: real"

    assert names(shelf.index(shelf.source("main", "/dir/link.yaml"))) == ["real"]


def test_links_are_followed_once_only(shelf: Shelf) -> None:
    shelf.server.files["/a.yaml"] = b"a.yaml"

    assert names(shelf.index(shelf.source("main", "/a.yaml"))) == []
    assert shelf.server.paths() == ["/a.yaml", "/a.yaml"]


def test_a_gallery_may_be_a_file_in_an_allowed_folder_only(shelf: Shelf) -> None:
    folder = shelf.folder / "models"
    folder.mkdir()
    (folder / "index.yaml").write_bytes(ENTRIES)
    (shelf.folder / "outside.yaml").write_bytes(ENTRIES)
    reader = Reader(shelf.access, lambda: shelf.web, (folder,))

    def read(path: Path) -> list[str]:
        return names(Index((Source("f", path.as_uri()),), reader, shelf.folder / "kept", shelf.clock))

    assert read(folder / "index.yaml")[0] == "bert"
    assert read(shelf.folder / "outside.yaml") == []
    assert read(Path(f"{folder}/../outside.yaml")) == []


@pytest.mark.parametrize("data", [b"name: x", b"text", b"", b"3"])
def test_what_is_no_list_is_no_index(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="is not a list of models"):
        read_index(data, Source("g", "http://h"))


def test_an_index_of_thousands_is_read(shelf: Shelf) -> None:
    rows = b"".join(b"- &e%d\n  name: m%d\n  tags: [a, b]\n" % (i, i) for i in range(1700))

    assert len(read_index(rows, shelf.source()).entries) == 1700


def test_the_copy_of_one_gallery_is_not_that_of_another(shelf: Shelf) -> None:
    shelf.server.files["/two.yaml"] = b"- name: two"
    index = shelf.index(shelf.source("one"), shelf.source("two", "/two.yaml"))
    names(index)

    kept = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (shelf.folder / "kept").glob("*.yaml")}
    assert kept == {hashlib.sha256(data).hexdigest() for data in (ENTRIES, b"- name: two")}


def test_an_index_is_bounded(shelf: Shelf) -> None:
    reader = Reader(shelf.access, lambda: shelf.web, ())

    with pytest.raises(InvalidInput, match="larger than 10 bytes"):
        reader.read(shelf.server.url("/index.yaml"), limit=10, stop=Stop())


@pytest.mark.parametrize("address", ["o/r", "ollama://x", "oci://h/x"])
def test_what_is_no_document_is_not_read(shelf: Shelf, address: str) -> None:
    with pytest.raises(InvalidInput, match="no address of a document"):
        Reader(shelf.access, lambda: shelf.web, ()).read(address, limit=10, stop=Stop())
