"""Model files whose weights, or other files, are downloaded when their model loads."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from textmill.config import ModelOptions
from textmill.errors import DownloadFailed, LoadFailed
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.gallery.access import Access, Patience
from textmill.gallery.entry import File
from textmill.gallery.gallery import Gallery
from textmill.gallery.paths import STATE
from textmill.gallery.progress import Progress
from textmill.store.fetching import Fetching, wanted
from textmill.store.load import load_model
from textmill.store.model import Model
from textmill.store.offered import Offered
from textmill.store.store import Store
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.fileserver import Fault, FileServer, file_server

QUICK = Patience(connect=2.0, stall=5.0, attempts=2, first_wait=0.01, longest_wait=0.05)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def models(tmp_path: Path, server: FileServer) -> Path:
    """A folder with a model file whose weights are all on the server."""
    folder = tmp_path / "models"
    folder.mkdir()
    files = tiny_bert(tmp_path / "tiny")
    lines = []
    for path in sorted(files.rglob("*")):
        if path.is_file():
            name = path.relative_to(files).as_posix()
            server.files[f"/{name}"] = path.read_bytes()
            lines.append(f"- {{filename: new/{name}, uri: '{server.url(f'/{name}')}'}}")
    (folder / "m.yaml").write_text("name: m\nparameters: {model: new}\ndownload_files:\n" + "\n".join(lines))
    return folder


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    yield made
    made.close(1.0)


def fetching(models: Path, server: FileServer, *, offline: bool = False) -> Fetching:
    access = Access(allowed_hosts=frozenset({server.host}), patience=QUICK, offline=offline)
    return Fetching(Gallery(models, access=access))


def load(file: ModelFile) -> Model:
    return load_model(file.model, msgspec.structs.replace(ModelOptions(threads=1), **file.options), called=file.name)


async def dimensions(store: Store, name: str = "m") -> int:
    async with store.lease(name) as model:
        return model.info.dimensions


async def test_a_model_loads_from_the_files_that_it_has_downloaded(
    models: Path, server: FileServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    offered = Offered(models, store, load, fetching(models, server).fetch)
    assert server.asked == []

    found = await asyncio.gather(*(dimensions(store) for _ in range(4)))

    assert found == [32] * 4
    assert len(server.paths()) == len(set(server.paths())) == len(server.files)
    assert "m: fetching new/" in caplog.text
    assert [known.refusal for known, _, _ in store.known()] == [None]
    assert offered.folder.problems == ()


async def test_what_a_load_has_fetched_is_not_loaded_again(models: Path, server: FileServer, store: Store) -> None:
    seen = asyncio.Semaphore(0)

    async def sleep(_: float) -> None:
        await seen.acquire()

    offered = Offered(models, store, load, fetching(models, server).fetch)
    following = asyncio.create_task(offered.follow(sleep))
    async with store.lease("m") as before:
        for _ in range(3):
            seen.release()
            await asyncio.sleep(0.05)
        async with store.lease("m") as after:
            assert after is before
    assert offered.folder.by_name["m"].facts is not None
    following.cancel()


async def test_while_files_are_still_missing_the_model_stays_one_that_can_be_served(
    models: Path, server: FileServer
) -> None:
    before = scan(models).by_name["m"]
    file = next(each for each in wanted(before, models) if each.filename == "new/config.json")
    Gallery(models, access=Access(allowed_hosts=frozenset({server.host}))).fetch(file)

    assert scan(models).by_name["m"] == before
    assert before.refusal is None


@pytest.mark.parametrize(
    ("fault", "why"),
    [(Fault(status=404), "does not exist"), (Fault(status=500), "failed 2 times"), (Fault(sent=0), "failed 2 times")],
)
async def test_a_download_that_fails_is_a_load_that_fails(
    fault: Fault, why: str, models: Path, server: FileServer, store: Store
) -> None:
    server.always["/model.safetensors"] = fault
    Offered(models, store, load, fetching(models, server).fetch)

    with pytest.raises(LoadFailed, match=why) as caught:
        await dimensions(store)

    assert caught.value.retry_after


async def test_offline_nothing_is_fetched_and_what_is_there_loads(
    models: Path, server: FileServer, store: Store
) -> None:
    Offered(models, store, load, fetching(models, server, offline=True).fetch)
    with pytest.raises(LoadFailed, match="offline"):
        await dimensions(store)
    fetching(models, server).fetch(scan(models).by_name["m"])
    again = Store()
    Offered(models, again, load, fetching(models, server, offline=True).fetch)

    assert await dimensions(again) == 32
    again.close(0)


async def test_files_whose_engine_is_missing_are_not_downloaded(models: Path, server: FileServer, store: Store) -> None:
    (models / "g.yaml").write_text(f"{{name: g, backend: autogptq, parameters: {{model: '{server.url('/x.zip')}'}}}}")
    Offered(models, store, load, fetching(models, server).fetch)

    with pytest.raises(LoadFailed, match="GPTQ"):
        await dimensions(store, "g")

    assert server.asked == []


async def test_weights_at_a_uri_come_by_its_name_and_are_then_looked_at(
    models: Path, server: FileServer, store: Store
) -> None:
    server.files["/weights"] = b"GGUF is how they begin" * 10
    server.files["/other"] = b"no model at all"
    for name, path in (("w", "weights"), ("o", "other")):
        (models / f"{name}.yaml").write_text(f"{{name: {name}, parameters: {{model: '{server.url(f'/{path}')}'}}}}")
    Offered(models, store, load, fetching(models, server).fetch)

    with pytest.raises(LoadFailed, match="neither weights nor a description"):
        await dimensions(store, "o")
    with pytest.raises(LoadFailed):
        await dimensions(store, "w")

    assert (models / "weights").read_bytes() == server.files["/weights"]


def test_in_a_folder_that_cannot_be_written_what_is_there_is_taken(models: Path, server: FileServer) -> None:
    fetches = fetching(models, server)
    file = scan(models).by_name["m"]
    fetches.fetch(file)
    shutil.rmtree(models / STATE)
    (models / STATE).touch()  # so that no folder can be made there; permissions do not hold root back

    assert not fetches.fetch(scan(models).by_name["m"])
    (models / "new" / "config.json").unlink()
    with pytest.raises(DownloadFailed):
        fetches.fetch(file)


def test_a_checksum_of_the_file_counts_and_each_file_is_wanted_once(models: Path, server: FileServer) -> None:
    url = server.url("/x.bin")
    sha256 = hashlib.sha256(b"x").hexdigest()
    (models / "x.yaml").write_text(
        f"{{name: x, parameters: {{model: '{url}'}}, download_files: [{{filename: x.bin, uri: '{url}', sha256: {sha256}}}]}}"
    )

    assert wanted(scan(models).by_name["x"], models) == (File(filename="x.bin", uri=url, sha256=sha256),)


async def test_the_end_of_the_server_stops_what_is_being_fetched(models: Path, server: FileServer) -> None:
    server.always["/model.safetensors"] = Fault(sent=10, stall=True)
    begun = threading.Event()

    def report(progress: Progress) -> None:
        if progress.done == 10:  # of the file that stalls
            begun.set()

    access = Access(allowed_hosts=frozenset({server.host}), patience=QUICK)
    fetches = Fetching(Gallery(models, access=access), report)
    until = asyncio.create_task(fetches.until_the_end())
    running = asyncio.create_task(asyncio.to_thread(fetches.fetch, scan(models).by_name["m"]))
    await asyncio.to_thread(begun.wait, 5)

    until.cancel()
    with suppress(asyncio.CancelledError):
        await until

    with pytest.raises((CancelledError, asyncio.CancelledError)):
        await asyncio.wait_for(running, 3)
