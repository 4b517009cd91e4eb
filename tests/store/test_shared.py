"""Models that are held together: loaded once, closed by the last."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import textmill
from textmill.config import ModelOptions, model_options
from textmill.contract import TokenizeOptions
from textmill.errors import ConfigInvalid, InvalidInput, ModelNotFound, Unavailable
from textmill.store.load import load_model
from textmill.store.model import Model
from textmill.store.shared import Shelf
from textmill.testing.checkpoints import tiny_bert

OPTIONS = model_options({"dtype": "float32", "threads": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("models") / "tiny", prompts={"query": "ask: "}))


class Counted:
    """Loads models, and keeps them to look at."""

    def __init__(self) -> None:
        self.models: list[Model] = []

    def __call__(self, model: str, options: ModelOptions) -> Model:
        self.models.append(load_model(model, options))
        return self.models[-1]


@pytest.fixture
def loads() -> Iterator[Counted]:
    counted = Counted()
    yield counted
    for model in counted.models:
        model.close(0.0)


def test_the_same_model_and_options_are_loaded_once_and_closed_by_the_last(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    one, other = shelf.hold(folder, OPTIONS), shelf.hold(folder, OPTIONS)
    vectors = one.embed(["hello world"])

    one.close()

    assert len(loads.models) == 1
    assert (one.ready, other.ready, loads.models[0].ready) == (False, True, True)
    assert np.array_equal(other.embed(["hello world"]), vectors)
    other.close()
    assert not loads.models[0].ready


def test_a_closed_hold_says_so_and_its_second_close_takes_nothing_from_the_others(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    one, other = shelf.hold(folder, OPTIONS), shelf.hold(folder, OPTIONS)

    one.close()
    one.close()

    with pytest.raises(Unavailable, match="the model is closed"):
        one.embed(["hello"])
    with pytest.raises(Unavailable, match="the model is closed"):
        asyncio.run(one.aembed(["hello"]))
    with pytest.raises(Unavailable, match="the model is closed"):
        asyncio.run(one.tokenize_inputs(["hello"], TokenizeOptions()))
    assert other.ready
    other.close()


def test_a_model_is_loaded_anew_after_its_last_hold(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    shelf.hold(folder, OPTIONS).close()

    with shelf.hold(folder, OPTIONS) as model:
        assert model.embed(["hello"]).shape == (1, model.info.dimensions)

    assert len(loads.models) == 2


def test_other_options_are_another_model(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    with (
        shelf.hold(folder, OPTIONS),
        shelf.hold(folder, model_options({"dtype": "float32", "threads": 1, "offline": True})),
    ):
        assert len(loads.models) == 2


def test_a_folder_by_another_path_is_the_same_model(
    folder: str, loads: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(loads)
    monkeypatch.chdir(Path(folder).parent)

    with shelf.hold(folder, OPTIONS), shelf.hold("tiny", OPTIONS), shelf.hold("./tiny/", OPTIONS):
        assert len(loads.models) == 1


def test_threads_that_ask_at_once_share_one_load(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    together = threading.Barrier(8)

    def ask(_: int) -> Model:
        together.wait()
        return shelf.hold(folder, OPTIONS)

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(ask, range(8)))

    assert len(loads.models) == 1
    for model in models:
        assert loads.models[0].ready
        model.close()
    assert not loads.models[0].ready


def test_a_hold_that_is_dropped_ends(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    model = shelf.hold(folder, OPTIONS)
    engine_gone = threading.Event()
    real = loads.models[0]
    watch = threading.Thread(target=lambda: _until_closed(real, engine_gone))
    watch.start()

    del model
    gc.collect()

    assert engine_gone.wait(10)
    watch.join()


def _until_closed(model: Model, closed: threading.Event) -> None:
    pause = threading.Event()
    while model.ready:
        pause.wait(0.01)
    closed.set()


def test_a_model_whose_engine_is_gone_is_loaded_anew(folder: str, loads: Counted) -> None:
    shelf = Shelf(loads)
    broken = shelf.hold(folder, OPTIONS)
    loads.models[0].close(0.0)

    with shelf.hold(folder, OPTIONS) as model:
        assert (broken.ready, model.ready) == (False, True)
        broken.close()
        assert model.ready
        with shelf.hold(folder, OPTIONS):
            assert len(loads.models) == 2


def test_a_load_that_fails_leaves_nothing_behind(tmp_path: Path, loads: Counted) -> None:
    shelf = Shelf(loads)
    with pytest.raises(ModelNotFound):
        shelf.hold(str(tmp_path / "later"), OPTIONS)
    tiny_bert(tmp_path / "later")

    with shelf.hold(str(tmp_path / "later"), OPTIONS) as model:
        assert model.ready


def test_shared_takes_the_arguments_of_load(folder: str) -> None:
    with (
        textmill.shared(folder, dtype="float32", threads=1) as one,
        textmill.shared(folder, threads=1, dtype="float32", revision=None) as other,
        textmill.load(folder, dtype="float32", threads=1) as alone,
    ):
        assert isinstance(one, textmill.Model)
        assert one.info is other.info
        assert one.info.fingerprint == alone.info.fingerprint
        assert np.array_equal(one.embed(["hello"], prompt_name="query"), alone.embed(["hello"], prompt_name="query"))
        with pytest.raises(InvalidInput):
            one.embed(["hello"], prompt_name="none")
    with pytest.raises(ConfigInvalid, match="dtype"):
        textmill.shared(folder, dtyp="float32")
