"""Models of the hub that become known because requests name them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.store.world import apart, until

from textmill.config import ModelOptions
from textmill.contract import Known
from textmill.errors import DownloadFailed, LoadFailed, ModelNotFound, Overloaded
from textmill.folder.model import ModelFile
from textmill.store.keeper import Slot
from textmill.store.load import load_model
from textmill.store.model import Model
from textmill.store.ondemand import REFUSED_S, OnDemand
from textmill.store.store import Store
from textmill.testing.checkpoints import tiny_bert


class Hub:
    """A hub with some repositories; of those in ``here`` all files are on this machine."""

    def __init__(self, files: dict[str, Sequence[str]]) -> None:
        self.files = files
        self.here: set[str] = set()
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def is_here(self, repo: str, revision: str | None) -> bool:
        return revision is None and repo in self.here

    def files_of(self, repo: str, revision: str | None) -> Sequence[str]:
        del revision
        self.asked.append(repo)
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        if repo not in self.files:
            msg = f"{repo} does not exist"
            raise ModelNotFound(msg)
        return self.files[repo]


@pytest.fixture
def hub() -> Hub:
    return Hub({"o/tiny": ["model.safetensors", "onnx/model.onnx"], "o/x-GGUF": ["x.gguf"], "o/g": ["g.gguf"]})


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "tiny")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    yield made
    made.close(1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Loads:
    """Loads one model, whatever is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[ModelFile] = []

    def __call__(self, file: ModelFile) -> Model:
        self.files.append(file)
        options = msgspec.structs.replace(ModelOptions(threads=1), revision=file.options.get("revision"))
        return load_model(str(self.folder), options, called=file.name)


@pytest.fixture
def loads(tiny: Path) -> Loads:
    return Loads(tiny)


async def name_of(store: Store, name: str | None) -> str:
    async with store.lease(name) as model:
        return model.info.name


def names(store: Store) -> list[str]:
    return [known.name for known, _, _ in store.known(everything=True)]


async def test_a_repository_becomes_known_and_loads_once(store: Store, hub: Hub, loads: Loads) -> None:
    store.find_by(OnDemand(hub, loads))

    assert await asyncio.gather(*(name_of(store, "o/tiny") for _ in range(3))) == ["o/tiny"] * 3
    assert (len(loads.files), hub.asked) == (1, ["o/tiny"])
    assert [known.name for known, _, _ in store.known()] == ["o/tiny"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("o/tiny@v1", {"revision": "v1"}), ("o/tiny/onnx/model.onnx", {"file": "onnx/model.onnx"})],
)
async def test_revisions_and_files_are_options(
    name: str, options: dict[str, str], store: Store, hub: Hub, loads: Loads
) -> None:
    store.find_by(OnDemand(hub, loads))
    await name_of(store, name)

    assert loads.files[0].options == options
    assert loads.files[0].model == "o/tiny"


async def test_who_names_no_model_does_not_mean_one_that_another_has_asked_for(
    store: Store, hub: Hub, loads: Loads
) -> None:
    store.find_by(OnDemand(hub, loads))
    await name_of(store, "o/tiny")

    with pytest.raises(ModelNotFound):
        await name_of(store, None)


async def test_a_repository_that_does_not_exist_is_not_found_and_not_known(
    store: Store, hub: Hub, loads: Loads
) -> None:
    clock = Clock()
    store.find_by(OnDemand(hub, loads, clock=clock))

    results = await asyncio.gather(*(name_of(store, "o/none") for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in results] == [ModelNotFound] * 3
    with pytest.raises(ModelNotFound, match="is known; there is none; the hub has no repository o/none"):
        await name_of(store, "o/none")
    assert (hub.asked, list(store.known())) == (["o/none"], [])
    clock.now += REFUSED_S + 1
    hub.files["o/none"] = ["model.safetensors"]

    assert await name_of(store, "o/none") == "o/none"


async def test_a_file_that_does_not_exist_is_not_found_with_the_nearest(store: Store, hub: Hub, loads: Loads) -> None:
    store.find_by(OnDemand(hub, loads))

    with pytest.raises(ModelNotFound, match=r"did you mean onnx/model\.onnx"):
        await name_of(store, "o/tiny/model.onnx")


async def test_a_hub_that_does_not_answer_is_a_load_that_fails(store: Store, hub: Hub, loads: Loads) -> None:
    hub.failure = DownloadFailed("no network")
    store.find_by(OnDemand(hub, loads))

    with pytest.raises(LoadFailed, match="no network") as caught:
        await name_of(store, "o/tiny")

    assert caught.value.retry_after


async def test_names_that_came_while_the_hub_was_away_take_no_place(store: Store, hub: Hub, loads: Loads) -> None:
    hub.failure = DownloadFailed("no network")
    store.find_by(OnDemand(hub, loads, most=1))
    for name in ("x/one", "x/two", "x/three"):
        with pytest.raises(LoadFailed, match="no network"):
            await name_of(store, name)
    assert (names(store), list(store.names())) == ([], [])
    hub.failure = None

    assert await name_of(store, "o/tiny") == "o/tiny"


async def test_a_name_that_could_not_be_brought_is_left_alone_for_longer_and_longer(
    store: Store, hub: Hub, loads: Loads
) -> None:
    clock = Clock()
    hub.failure = DownloadFailed("no network")
    store.find_by(OnDemand(hub, loads, clock=clock))
    waits = list[float | None]()
    for wait in (0.0, 1.0, 9.5, 1.0):
        clock.now += wait
        with pytest.raises(LoadFailed, match="no network") as caught:
            await name_of(store, "o/tiny")
        waits.append(caught.value.retry_after)
    assert (waits, hub.asked) == ([10.0, 9.0, 20.0, 19.0], ["o/tiny"] * 2)
    clock.now += 20
    hub.failure = None

    assert await name_of(store, "o/tiny") == "o/tiny"


async def test_a_name_is_listed_once_it_has_loaded(store: Store, hub: Hub, loads: Loads) -> None:
    hub.gate.clear()
    store.find_by(OnDemand(hub, loads))
    asks = apart(name_of(store, "o/tiny"))
    await until(lambda: bool(hub.asked))
    assert names(store) == []
    with pytest.raises(ModelNotFound, match="there is none"):
        await name_of(store, "tiny")
    hub.gate.set()
    await asks
    assert names(store) == ["o/tiny"]
    await store.unload("o/tiny")

    assert names(store) == ["o/tiny"]


async def test_a_name_that_fails_when_nobody_waits_any_more_is_not_known_either(
    store: Store, hub: Hub, loads: Loads
) -> None:
    hub.failure = DownloadFailed("no network")
    hub.gate.clear()
    store.find_by(OnDemand(hub, loads))
    asks = apart(name_of(store, "x/one"))
    await until(lambda: bool(hub.asked))
    asks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asks
    assert list(store.names()) == ["x/one"]
    hub.gate.set()

    await until(lambda: not list(store.names()))


async def test_so_many_names_are_looked_for_at_once(store: Store, hub: Hub, loads: Loads) -> None:
    hub.gate.clear()
    store.find_by(OnDemand(hub, loads, looked_for=1))
    asks = apart(name_of(store, "o/none"))
    await until(lambda: bool(hub.asked))
    with pytest.raises(Overloaded) as caught:
        await name_of(store, "o/tiny")
    assert caught.value.retry_after >= 1
    hub.gate.set()
    with pytest.raises(ModelNotFound):
        await asks

    assert await name_of(store, "o/tiny") == "o/tiny"


async def test_no_more_are_known_than_may_be_however_many_are_looked_for(store: Store, hub: Hub, loads: Loads) -> None:
    hub.files["o/other"] = ["model.safetensors"]
    hub.gate.clear()
    store.find_by(OnDemand(hub, loads, most=1))
    asks = [apart(name_of(store, name)) for name in ("o/tiny", "o/other")]
    await until(lambda: len(hub.asked) > 1)
    hub.gate.set()

    refused = [each for each in await asyncio.gather(*asks, return_exceptions=True) if isinstance(each, Exception)]
    assert [type(each) for each in refused] == [ModelNotFound]
    assert (len(names(store)), len(loads.files)) == (1, 1)


async def test_a_model_that_has_loaded_stays_known_when_its_files_are_lost(
    store: Store, hub: Hub, loads: Loads
) -> None:
    store.find_by(OnDemand(hub, loads))
    await name_of(store, "o/tiny")
    await store.unload("o/tiny")
    hub.failure = DownloadFailed("no network")

    with pytest.raises(LoadFailed, match="no network"):
        await name_of(store, "o/tiny")
    assert names(store) == ["o/tiny"]


async def test_a_model_that_the_folder_has_from_now_on_gives_its_place_back(
    store: Store, hub: Hub, loads: Loads, tiny: Path
) -> None:
    store.find_by(OnDemand(hub, loads, most=1))
    await name_of(store, "o/tiny")
    known = Known(name="o/tiny", source="tiny")
    store.add(known, Slot(name="o/tiny", load=lambda: load_model(str(tiny), ModelOptions(threads=1), called="o/tiny")))
    hub.files["o/other"] = ["model.safetensors"]

    assert await name_of(store, "o/other") == "o/other"
    assert await name_of(store, "o/tiny") == "o/tiny"


@pytest.mark.parametrize("name", ["o/g", "o/x-GGUF"])
async def test_what_cannot_be_served_is_neither_downloaded_nor_known(
    name: str, store: Store, hub: Hub, loads: Loads
) -> None:
    store.find_by(OnDemand(hub, loads, most=1))

    for _ in range(2):
        with pytest.raises(ModelNotFound, match="cannot be served"):
            await name_of(store, name)

    assert (loads.files, list(store.known()), len(hub.asked) < 2) == ([], [], True)
    assert await name_of(store, "o/tiny") == "o/tiny"


async def test_a_model_that_is_broken_is_not_known_and_not_tried_again_at_once(
    store: Store, hub: Hub, tmp_path: Path
) -> None:
    loads = Loads(tmp_path)
    store.find_by(OnDemand(hub, loads))

    for _ in range(2):
        with pytest.raises(ModelNotFound, match=r"config\.json"):
            await name_of(store, "o/tiny")

    assert (len(loads.files), list(store.known())) == (1, [])


async def test_a_file_of_a_repository_that_is_here_is_looked_for_all_the_same(
    store: Store, hub: Hub, loads: Loads
) -> None:
    hub.here.add("o/tiny")
    store.find_by(OnDemand(hub, loads))
    with pytest.raises(ModelNotFound, match="has no file"):
        await name_of(store, "o/tiny/other.onnx")
    hub.failure = DownloadFailed("no network")

    assert await name_of(store, "o/tiny/onnx/model.onnx") == "o/tiny/onnx/model.onnx"


@pytest.mark.parametrize(
    "name", ["tiny", "o/", "/o/tiny", "../o", "o/../tiny", "o/tiny/README.md", "ö/tiny", "o/t\n", "o/" + "x" * 300]
)
async def test_other_names_are_not_looked_for(name: str, store: Store, hub: Hub, loads: Loads) -> None:
    store.find_by(OnDemand(hub, loads))

    with pytest.raises(ModelNotFound):
        await name_of(store, name)

    assert hub.asked == []


async def test_names_of_the_models_folder_are_not_looked_for(store: Store, hub: Hub, loads: Loads) -> None:
    store.find_by(OnDemand(hub, loads, taken=lambda name: name == "o/tiny"))

    with pytest.raises(ModelNotFound, match="models folder has something of that name"):
        await name_of(store, "o/tiny")


async def test_offline_only_what_is_here_is_found(store: Store, hub: Hub, loads: Loads) -> None:
    store.find_by(OnDemand(hub, loads, offline=True))
    with pytest.raises(ModelNotFound, match="offline"):
        await name_of(store, "o/tiny")
    hub.here.add("o/tiny")

    assert await name_of(store, "o/tiny") == "o/tiny"
    assert hub.asked == []


async def test_there_is_a_bound_and_what_is_forgotten_makes_room(store: Store, hub: Hub, loads: Loads) -> None:
    hub.here |= {"o/a", "o/b"}
    store.find_by(OnDemand(hub, loads, most=1))
    await name_of(store, "o/a")

    with pytest.raises(ModelNotFound, match="textmill pull o/b"):
        await name_of(store, "o/b")
    store.forget("o/a")

    assert await name_of(store, "o/b") == "o/b"


@pytest.mark.parametrize(("name", "says"), [("o/tiny", True), ("tiny", False)])
async def test_switched_off_the_error_says_that_there_is_an_option(name: str, says: bool, store: Store) -> None:  # noqa: FBT001 - a parameter of the test
    with pytest.raises(ModelNotFound) as caught:
        await name_of(store, name)

    assert ("--auto-download" in str(caught.value)) is says
