"""Models by the names that clients use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from textmill.contract import Known, Task
from textmill.errors import ConfigInvalid, InvalidInput, LoadFailed, ModelNotFound, ModelUnclear
from textmill.store.keeper import Keeper, Slot
from textmill.store.load import load
from textmill.store.model import Model
from textmill.store.shelf import Limits
from textmill.store.store import Store
from textmill.testing.checkpoints import tiny_bert


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store([load(str(tiny_bert(tmp_path / name)), threads=1) for name in ("first", "second")])
    yield made
    made.close(1.0)


async def name_of(store: Store, name: str | None, task: Task | None = None) -> str:
    async with store.lease(name, task) as model:
        return model.info.name


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with ExitStack() as opened:
        models = [
            opened.enter_context(load(str(tiny_bert(tmp_path / place / "tiny")), threads=1)) for place in ("a", "b")
        ]
        with pytest.raises(ConfigInvalid, match="two models would be called 'tiny'"):
            Store(models)


async def test_the_packaged_model_answers_to_its_hub_id() -> None:
    with load("all-MiniLM-L6-v2") as model:
        async with Store([model]).lease("sentence-transformers/all-MiniLM-L6-v2") as found:
            assert found is model


async def test_a_model_is_found_by_name_and_by_source(store: Store) -> None:
    second = store.models()[1]
    assert await name_of(store, "second") == await name_of(store, second.info.source) == "second"
    assert set(store.names()) == {"first", "second", *second.info.aliases, *store.models()[0].info.aliases}


@pytest.mark.parametrize("name", [None, ""])
async def test_no_name_means_the_first(store: Store, name: str | None) -> None:
    assert await name_of(store, name, "rerank") == "first"


async def test_an_unknown_name_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r"there is first, second; did you mean 'second'"):
        await name_of(store, "secnd")


@pytest.mark.parametrize(("asked", "near"), [("roles:latest", "roles"), ("mill", "mill:latest")])
async def test_a_name_that_is_right_but_for_its_tag_is_told_by_the_right_one(
    tmp_path: Path, asked: str, near: str
) -> None:
    with ExitStack() as opened:
        store = Store(
            [
                opened.enter_context(load(str(tiny_bert(tmp_path / name)), threads=1))
                for name in ("mill:latest", "roles")
            ]
        )
        with pytest.raises(ModelNotFound, match=f"did you mean '{near}'"):
            await name_of(store, asked)


def test_a_store_is_ready_until_it_is_closed(store: Store) -> None:
    assert store.ready
    models = store.models()
    store.close(1.0)
    assert not store.ready
    assert not any(model.ready for model in models)


def known(name: str, *tasks: Task, aliases: tuple[str, ...] = ()) -> Known:
    return Known(name=name, source=f"/models/{name}", aliases=aliases, tasks=tasks)


def add(store: Store, what: Known, load: Callable[[], Model]) -> None:
    store.add(what, Slot(name=what.name, load=load))


def unloadable() -> Model:
    raise AssertionError


async def test_a_model_is_loaded_when_it_is_asked_for_and_known_by_what_it_said_from_then_on(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    store = Store()
    add(store, known("mine", aliases=("other",)), lambda: load(str(folder), threads=1))
    assert [(each.name, info, model) for each, info, model in store.known()] == [("mine", None, None)]
    async with store.lease("other") as model:
        assert isinstance(model, Model)
        assert await model.aembed("a") is not None
    [(_, info, loaded)] = store.known()
    assert info is model.info
    assert loaded is model
    assert await store.unload("other")
    [(_, info, loaded)] = store.known()
    assert info is model.info
    assert loaded is None
    assert not model.ready
    assert store.ready
    assert await name_of(store, str(folder)) == "tiny"
    store.close(1.0)


async def test_without_a_name_the_only_one_that_may_do_it_answers(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    store = Store()
    add(store, known("ranks", "rerank"), unloadable)
    add(store, known("embeds", "embed"), lambda: load(str(folder), threads=1))
    add(store, known("embeds-too", "embed"), unloadable)
    with pytest.raises(ModelUnclear, match="several might be meant: embeds, embeds-too") as caught:
        await name_of(store, None, "embed")
    assert caught.value.param == "model"
    store.forget("embeds-too")
    assert await name_of(store, None, "embed") == "tiny"
    with pytest.raises(ModelNotFound, match="no model that does classify; there is ranks, embeds"):
        await name_of(store, None, "classify")
    store.close(1.0)


async def test_one_that_nothing_is_known_of_may_do_anything(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    store = Store()
    add(store, known("any"), lambda: load(str(folder), threads=1))
    assert await name_of(store, None, "embed") == "tiny"
    store.close(1.0)


async def test_a_model_that_was_given_stays(store: Store) -> None:
    with pytest.raises(InvalidInput, match="second was given"):
        await store.unload("second")
    assert await name_of(store, "second") == "second"


async def test_names_count_more_than_aliases(store: Store) -> None:
    add(store, known("new", aliases=("first", "newer")), unloadable)
    assert await name_of(store, "first") == "first"
    assert "newer" in store.names()


async def test_a_model_that_cannot_be_served_makes_nobody_leave(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    store = Store((), Keeper(Limits(loaded=1)))
    add(store, known("good"), lambda: load(str(folder), threads=1))
    add(store, replace(known("bad"), refusal="its file says disabled"), unloadable)
    assert await name_of(store, "good") == "tiny"
    with pytest.raises(LoadFailed, match="bad cannot be served: its file says disabled") as caught:
        await name_of(store, "bad")
    assert caught.value.retry_after is None
    assert len(store.models()) == 1
    store.close(1.0)


def test_models_load_at_the_start_at_the_same_time(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    both = Barrier(2, timeout=10)

    def loaded() -> Model:
        both.wait()  # one after the other they would wait for ever
        return load(str(folder), threads=1)

    store = Store()
    add(store, known("one", aliases=("first",)), loaded)
    add(store, known("two"), loaded)
    told: list[str] = []

    def tell(name: str) -> AbstractContextManager[None]:
        told.append(name)
        return nullcontext()

    store.load_now(["one", "two", "first"], 2, tell)
    assert sorted(told) == ["one", "two"]
    assert [info is not None for _, info, _ in store.known()] == [True, True]
    store.close(1.0)


async def test_an_answer_about_an_unknown_name_is_short(tmp_path: Path) -> None:
    store = Store([load(str(tiny_bert(tmp_path / "tiny")), threads=1)])
    for number in range(200):
        add(store, known(f"model-{number}"), unloadable)
    for name in ("x" * 1_000_000, "model-", str(tmp_path / "tinz")):
        with pytest.raises(ModelNotFound, match="and 181 more") as caught:
            await name_of(store, name)
        assert len(str(caught.value)) < 1000
        assert f"did you mean '{tmp_path}" not in str(caught.value)
    store.close(1.0)


async def test_work_that_fails_is_begun_again_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    store, begun = Store(), 0

    async def fails() -> None:
        nonlocal begun
        begun += 1
        raise OSError

    async def goes_on() -> None:
        await asyncio.sleep(60)

    store.also(fails)
    store.also(goes_on)
    running = asyncio.create_task(store.run())
    await asyncio.sleep(0.05)
    assert not running.done()
    assert begun == 1
    assert "is begun again" in caplog.text
    running.cancel()
