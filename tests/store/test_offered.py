"""A models folder in a store, over time."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from textmill.config import ModelOptions
from textmill.errors import LoadFailed, ModelBroken, ModelNotFound, ModelUnclear
from textmill.folder import scan as scan_of
from textmill.folder.model import Folder, ModelFile
from textmill.folder.snapshot import Snapshot
from textmill.store import offered as offered_of
from textmill.store.load import load_model
from textmill.store.looks import Looks as Asked
from textmill.store.model import Model
from textmill.store.offered import Offered
from textmill.store.store import Store
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.heads import tiny_reranker

YAML = """
- {name: text-embedding-ada-002, backend: sentencetransformers, parameters: {model: tiny}}
- {name: gpt-4, backend: sglang, parameters: {model: owner/name}}
- {name: off, disabled: true, parameters: {model: tiny}}
- {name: ada, alias: text-embedding-ada-002}
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny_bert(folder / "tiny")
    tiny_reranker(folder / "ranks")
    (folder / "all.yaml").write_text(YAML)
    return folder


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    yield made
    made.close(1.0)


def load(file: ModelFile) -> Model:
    return load_model(file.model, msgspec.structs.replace(ModelOptions(threads=1), **file.options), called=file.name)


async def name_of(store: Store, name: str | None) -> str:
    async with store.lease(name, "embed") as model:
        return model.info.name


async def test_model_files_and_loose_models_are_known_and_load_when_asked_for(models: Path, store: Store) -> None:
    Offered(models, store, load)
    assert store.models() == []
    assert [(known.name, known.tasks) for known, _, _ in store.known()] == [
        ("gpt-4", ("chat", "complete")),
        ("off", ("embed",)),
        ("ranks", ("rerank", "classify")),
        ("text-embedding-ada-002", ("embed",)),
    ]
    assert await name_of(store, "ada") == "text-embedding-ada-002"
    assert await name_of(store, "tiny") == "tiny"  # it is not listed, and answers to its name


async def test_no_name_means_the_only_one_that_can_do_it_and_be_served(models: Path, store: Store) -> None:
    Offered(models, store, load)
    assert await name_of(store, None) == "text-embedding-ada-002"
    async with store.lease(None, "rerank") as model:
        assert model.info.name == "ranks"
    with pytest.raises(ModelUnclear, match="ranks, text-embedding-ada-002"):
        await store.lease(None, None).__aenter__()


@pytest.mark.parametrize(("name", "why"), [("gpt-4", "sglang"), ("off", "disabled")])
async def test_what_cannot_be_served_says_why(name: str, why: str, models: Path, store: Store) -> None:
    Offered(models, store, load)
    with pytest.raises(LoadFailed, match=why) as caught:
        await name_of(store, name)
    assert caught.value.retry_after is None


async def test_a_broken_file_is_logged_and_stops_no_other(
    models: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (models / "broken.yaml").write_text("name: [")
    Offered(models, store, load)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "broken.yaml" in caplog.text
    assert await name_of(store, "tiny") == "tiny"


async def test_a_name_that_is_served_already_stays_what_it_is(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    with load_model(str(models / "tiny"), ModelOptions(threads=1), called="ranks") as given:
        store = Store([given])
        Offered(models, store, load)
        async with store.lease("ranks") as model:
            assert model is given
    assert "its file is left out" in caplog.text


async def test_a_file_that_somebody_says_is_whole_takes_effect_with_one_look(models: Path, store: Store) -> None:
    looks = Asked()
    offered = Offered(models, store, load, looks=looks)

    async def sleep(_: float) -> None:
        await asyncio.Event().wait()

    following = asyncio.create_task(offered.follow(sleep))
    (models / "new.yaml").write_text("{name: new, parameters: {model: tiny}}")
    (models / "other.yaml").write_text("{name: other, parameters: {model: tiny}}")
    await asyncio.to_thread(looks.ask, ["new.yaml"])
    assert await name_of(store, "new") == "new"
    assert "other" not in store.names()
    (models / "new.yaml").unlink()
    await asyncio.to_thread(looks.ask, ["new.yaml"])
    assert "new" not in store.names()
    assert "other" in store.names()  # it stood still between two looks
    following.cancel()
    await asyncio.wait([following])
    await asyncio.to_thread(looks.ask, ["other.yaml"])


async def test_files_that_come_change_and_go_take_effect(models: Path, store: Store) -> None:
    seen = asyncio.Semaphore(0)
    offered = Offered(models, store, load)

    async def sleep(_: float) -> None:
        await seen.acquire()

    async def looks(count: int) -> None:
        for _ in range(count):
            seen.release()
            await asyncio.sleep(0.05)

    following = asyncio.create_task(offered.follow(sleep))
    async with store.lease("text-embedding-ada-002") as before:
        (models / "new.yaml").write_text("{name: new, parameters: {model: tiny}}")
        (models / "all.yaml").write_text("{name: text-embedding-ada-002, context_size: 16, parameters: {model: tiny}}")
        (models / "alias.yaml").write_text("{name: ada-2, alias: text-embedding-ada-002}")
        await looks(3)
        assert await name_of(store, "new") == "new"
        assert await name_of(store, "ada-2") == "text-embedding-ada-002"
        async with store.lease("text-embedding-ada-002") as after:
            assert after is not before
            assert isinstance(before, Model)
            assert isinstance(after, Model)
            assert (await before.aembed("a")).shape == (await after.aembed("a")).shape
    (models / "new.yaml").unlink()
    await looks(3)
    with pytest.raises(ModelNotFound):
        await name_of(store, "new")
    with pytest.raises(ModelNotFound):
        await name_of(store, "ada")
    following.cancel()


class Steps:
    """Lets a store look at its models folder when the test says so."""

    def __init__(self) -> None:
        self._seen = asyncio.Semaphore(0)

    async def sleep(self, _: float) -> None:
        await self._seen.acquire()

    async def __call__(self, count: int = 3) -> None:
        for _ in range(count):
            self._seen.release()
            await asyncio.sleep(0.05)


async def test_a_folder_that_goes_away_for_a_while_takes_no_model_along(
    models: Path, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, offered = Steps(), Offered(models, store, load)
    following = asyncio.create_task(offered.follow(looks.sleep))

    def gone(path: Path, _: object) -> Snapshot:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(offered_of, "take_snapshot", gone)  # no disk fails on demand
        await looks()
    assert await name_of(store, "text-embedding-ada-002") == "text-embedding-ada-002"
    assert caplog.text.count("cannot be read (Input/output error); its models stay as they are") == 1
    (models / "new.yaml").write_text("{name: new, parameters: {model: tiny}}")
    await looks()
    assert await name_of(store, "new") == "new"
    following.cancel()


async def test_a_model_that_is_loaded_stays_when_another_file_uses_its_weights(models: Path, store: Store) -> None:
    looks, offered = Steps(), Offered(models, store, load)
    following = asyncio.create_task(offered.follow(looks.sleep))
    async with store.lease("ranks") as before:
        pass
    (models / "new.yaml").write_text("{name: new, parameters: {model: ranks}}")
    await looks()
    assert "new" in store.names()
    async with store.lease("ranks") as after:
        assert after is before
    listed = {known.name: known.listed for known, _, _ in store.known()}
    assert listed["ranks"] is False
    following.cancel()


async def test_answers_say_nothing_of_where_the_folder_is_nor_what_is_secret_in_uris(
    models: Path, store: Store
) -> None:
    (models / "far.yaml").write_text(
        "{name: far, parameters: {model: 'https://user:s3cr3t@host/x.onnx?token=hf_abc'}}\n"
    )
    (models / "gone.yaml").write_text("{name: gone, parameters: {model: nowhere}}\n")
    (models / "tiny" / "model.safetensors").write_bytes(b"")
    Offered(models, store, load)
    refusals = {known.name: known.refusal for known, _, _ in store.known()}
    assert "there is no nowhere" in str(refusals["gone"])
    assert str(models) not in str(refusals["gone"])
    sources = {known.name: known.source for known, _, _ in store.known()}
    assert sources["ranks"] == "ranks"
    assert not any("s3cr3t" in source or "hf_abc" in source or str(models) in source for source in sources.values())
    with pytest.raises(LoadFailed) as caught:
        await name_of(store, "text-embedding-ada-002")
    assert "tiny/model.safetensors" in str(caught.value)
    assert str(models) not in str(caught.value)


async def test_a_model_is_found_by_its_id_on_the_hub_before_it_is_loaded(models: Path, store: Store) -> None:
    (models / "mini.yaml").write_text(
        "{name: mini, backend: sentencetransformers, parameters: {model: all-MiniLM-L6-v2}}"
    )
    Offered(models, store, load)
    assert {"sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"} <= set(store.names())


async def test_an_alias_may_stand_for_a_model_of_the_command_line_for_as_long_as_it_is_there(
    models: Path, tmp_path: Path
) -> None:
    (models / "alias.yaml").write_text("- {name: theirs, alias: mine}\n- {name: too, alias: given}\n")
    given = load_model(str(tiny_bert(tmp_path / "given")), ModelOptions(threads=1), called="mine")
    store, looks = Store([given]), Steps()
    following = asyncio.create_task(Offered(models, store, load).follow(looks.sleep))
    assert await name_of(store, "theirs") == await name_of(store, "too") == "mine"  # `given` is another name of it
    (models / "alias.yaml").unlink()
    await looks()
    with pytest.raises(ModelNotFound):
        await name_of(store, "theirs")
    assert await name_of(store, "given") == "mine"
    following.cancel()
    store.close(1.0)


async def test_what_the_folder_could_not_be_read_for_is_read_at_the_next_look(
    models: Path, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, offered = Steps(), Offered(models, store, load)
    following = asyncio.create_task(offered.follow(looks.sleep))

    def broken(*_: object, **__: object) -> Folder:
        raise RecursionError

    (models / "new.yaml").write_text("{name: new, parameters: {model: tiny}}")
    with monkeypatch.context() as patched:
        patched.setattr(offered_of, "scan", broken)  # stands for a mistake in our own code
        await looks(5)
    assert "new" not in store.names()
    assert caplog.text.count("it is looked at again") == 1
    await looks(1)
    assert "new" in store.names()
    assert not following.done()
    following.cancel()


async def test_models_stay_when_the_folder_goes_away_while_it_is_read(
    models: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, offered = Steps(), Offered(models, store, load)
    following = asyncio.create_task(offered.follow(looks.sleep))

    def away(path: Path) -> list[Path]:
        raise OSError(116, "Stale file handle", str(path))

    (models / "new.yaml").write_text("{name: new, parameters: {model: tiny}}")
    with monkeypatch.context() as patched:
        patched.setattr(scan_of, "take_paths", away)  # no disk fails on demand
        await looks()
    assert await name_of(store, "tiny") == "tiny"
    assert "new" not in store.names()
    await looks(1)
    assert await name_of(store, "new") == "new"
    following.cancel()


async def test_a_folder_that_is_removed_takes_its_models_along(models: Path, store: Store) -> None:
    looks, offered = Steps(), Offered(models, store, load)
    following = asyncio.create_task(offered.follow(looks.sleep))
    shutil.rmtree(models)
    await looks()
    assert list(store.names()) == []
    following.cancel()


async def test_the_log_has_the_whole_path_and_a_loaded_model_none(
    models: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def weigh(file: ModelFile) -> int:
        if file.name == "ranks":
            msg = f"{models}/ranks/model.safetensors is damaged"
            raise ModelBroken(msg)
        return 0

    Offered(models, store, load, weigh=weigh)
    async with store.lease("tiny") as model:
        assert model.info.source == "tiny"
        assert not any(str(models) in name for name in store.names())
    with pytest.raises(LoadFailed) as caught:
        await store.lease("ranks").__aenter__()
    assert "ranks/model.safetensors is damaged" in str(caught.value)
    assert str(models) not in str(caught.value)
    assert f"{models}/ranks/model.safetensors is damaged" in caplog.text


async def test_a_list_elsewhere_adds_models_of_the_folder(models: Path, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text("- {name: listed, parameters: {model: tiny}}")
    offered = Offered(models, store, load, config_files=(file,))
    assert await name_of(store, "listed") == "listed"
    assert "listed" in offered.folder.by_name
