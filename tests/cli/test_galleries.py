from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from textmill.cli.galleries import open_gallery, read_sources
from textmill.config import ServeOptions, command_options
from textmill.errors import ConfigInvalid, DownloadFailed, InvalidInput
from textmill.gallery.entry import File, Source
from textmill.gallery.wish import Wish
from textmill.testing.fileserver import FileServer, file_server

LISTED = (
    '[{"name": "a", "url": "https://one", "mirrors": ["github:o/r/index.yaml"]}, {"name": "b", "url": "https://two"}]'
)
BOTH = (Source("a", "https://one", ("github:o/r/index.yaml",)), Source("b", "https://two"))


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


def test_the_default_is_localai_s_index_and_its_mirror() -> None:
    [source] = read_sources(ServeOptions().galleries)

    assert source.name == "localai"
    assert source.mirrors == ("github:mudler/LocalAI/gallery/index.yaml@master",)


@pytest.mark.parametrize("given", [("a=https://one", "b=https://two", "a=github:o/r/index.yaml"), (LISTED,)])
def test_galleries_are_pairs_or_localai_s_list(given: tuple[str, ...]) -> None:
    assert read_sources(given) == BOTH


def test_localai_s_list_in_the_environment_is_one_value() -> None:
    options = command_options(ServeOptions, {}, {"TEXTMILL_GALLERIES": LISTED})

    assert read_sources(options.galleries) == BOTH


def test_pairs_in_the_environment_have_commas_between_them() -> None:
    options = command_options(ServeOptions, {}, {"TEXTMILL_GALLERIES": "a=https://one, b=https://two"})

    assert [source.name for source in read_sources(options.galleries)] == ["a", "b"]


@pytest.mark.parametrize("given", [("none",), ()])
def test_there_need_be_no_gallery(given: tuple[str, ...]) -> None:
    assert read_sources(given) == ()


@pytest.mark.parametrize(
    "given", [("https://index.example",), ("a=",), ("none", "a=https://one"), ("a/b=https://one",), ('[{"name": 1}]',)]
)
def test_what_is_no_gallery_is_refused(given: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid, match=r"galler(y|ies)"):
        read_sources(given)


def test_a_private_host_may_be_fetched_from_only_where_it_is_named(tmp_path: Path, server: FileServer) -> None:
    server.files["/x.bin"] = b"x"
    file = File(filename="x.bin", uri=server.url("/x.bin"))

    with pytest.raises(InvalidInput, match="private"):
        open_gallery(ServeOptions(models_path=str(tmp_path))).fetch(file)
    named = ServeOptions(models_path=str(tmp_path), download_host=(server.host,))

    assert open_gallery(named).fetch(file).read_bytes() == b"x"


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "HF_MIRROR", "HTTPS_PROXY"])
def test_an_address_in_the_environment_that_is_no_url_is_told_when_something_is_fetched(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "ftp://me:s3cret@there")
    (tmp_path / "here.bin").write_bytes(b"x")
    options = ServeOptions(models_path=str(tmp_path), download_host=(server.host,), cache_dir=str(tmp_path / "hub"))

    gallery = open_gallery(options)

    here = File(filename="here.bin", uri=f"file://{tmp_path}/here.bin")
    assert gallery.fetch(here).read_bytes() == b"x"
    for fetch in (
        lambda: gallery.fetch(File(filename="x.bin", uri=server.url("/x.bin"))),
        lambda: gallery.carry_out(Wish(uri="owner/repo")),
    ):
        with pytest.raises(DownloadFailed, match=f"(^|: ){variable} is no URL of http or https; "):
            fetch()
