"""The models of a server share its cache, and are refused where they are not those that are expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill import load
from textmill.cli.caching import caching
from textmill.cli.models import open_store
from textmill.config import ServeOptions
from textmill.contract import EmbedOptions
from textmill.errors import ConfigInvalid, LoadFailed
from textmill.telemetry import Telemetry
from textmill.testing.checkpoints import tiny_bert


def options_of(path: Path, **changes: object) -> ServeOptions:
    return ServeOptions(models_path=str(path), threads=1, dtype="float32", **changes)  # type: ignore[arg-type]


async def test_models_share_a_cache_that_is_in_the_metrics(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "models" / "one")
    tiny_bert(tmp_path / "models" / "two", seed=1)
    options = options_of(tmp_path / "models", cache_memory=1, cache_path=str(tmp_path / "cache"))
    telemetry = Telemetry()
    with caching(options, telemetry) as cache:
        store = open_store(options, telemetry, cache=cache)
        for name, hits in (("one", 0), ("one", 1), ("two", 0)):
            async with store.lease(name) as model:
                assert (await model.embed_inputs(["a text"], EmbedOptions())).cached == hits
        store.close(0)
    shown = telemetry.render()[0].decode().splitlines()
    assert {
        'textmill_cache_hits_total{model="one",tier="memory"} 1',
        'textmill_cache_misses_total{model="one"} 1',
        'textmill_cache_misses_total{model="two"} 1',
        'textmill_cache_entries{tier="memory"} 2',
        'textmill_cache_entries{tier="disk"} 2',
    } <= set(shown)


def test_no_cache_is_opened_or_shown_where_none_is_wanted(tmp_path: Path) -> None:
    telemetry = Telemetry()
    with caching(options_of(tmp_path), telemetry) as cache:
        assert cache is None
    assert b"textmill_cache_" not in telemetry.render()[0]


async def test_a_model_of_the_folder_that_is_not_the_expected_one_is_not_served(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "one")
    tiny_bert(tmp_path / "two", seed=1)
    store = open_store(options_of(tmp_path, expect_fingerprint=("one=f00d",)), Telemetry())
    with pytest.raises(LoadFailed, match=r"one has the fingerprint [0-9a-f]{16}, and f00d is expected"):
        async with store.lease("one"):
            pass
    async with store.lease("two") as model:
        assert model.ready
    store.close(0)
    with pytest.raises(ConfigInvalid, match="f00d is expected"):
        open_store(options_of(tmp_path, expect_fingerprint=("one=f00d",), load=("one",)), Telemetry())


async def test_a_model_that_has_changed_since_it_was_loaded_is_refused(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "models" / "one")
    with load(str(tmp_path / "models" / "one"), dtype="float32", threads=1) as model:
        mine = model.info.fingerprint
    for expected in (mine, f"one={mine}"):
        store = open_store(options_of(tmp_path / "models", expect_fingerprint=(expected,)), Telemetry())
        async with store.lease("one") as served:
            assert served.info.fingerprint == mine
        assert await store.unload("one")
        tiny_bert(tmp_path / "models" / "one", seed=1)
        with pytest.raises(LoadFailed, match=f"{mine} is expected"):
            async with store.lease("one"):
                pass
        store.close(0)
        tiny_bert(tmp_path / "models" / "one")


async def test_an_alias_names_the_model_of_which_a_fingerprint_is_expected(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "models" / "one")
    tiny_bert(tmp_path / "two")
    (tmp_path / "models" / "ada.yaml").write_text("[{name: ada, alias: one}, {name: bob, alias: two}]")
    store = open_store(options_of(tmp_path / "models", expect_fingerprint=("ada=f00d",)), Telemetry())
    with pytest.raises(LoadFailed, match="f00d is expected"):
        async with store.lease("one"):
            pass
    store.close(0)
    given = options_of(tmp_path / "models", expect_fingerprint=("bob=f00d",), models=(str(tmp_path / "two"),))
    with pytest.raises(ConfigInvalid, match="f00d is expected"):
        open_store(given, Telemetry())


def test_a_name_that_no_model_has_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_bert(tmp_path / "one")
    (tmp_path / "ada.yaml").write_text("{name: ada, alias: one}")
    expected = ("one=f00d", "ada=f00d", "won=f00d", "f00d")
    open_store(options_of(tmp_path, expect_fingerprint=expected), Telemetry()).close(0)
    told = [record.getMessage() for record in caplog.records if "--expect-fingerprint" in record.getMessage()]
    assert len(told) == 1
    assert "there is none of the name won" in told[0]


async def test_a_model_file_may_say_what_its_fingerprint_is(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "tiny")
    (tmp_path / "ada.yaml").write_text("{name: ada, parameters: {model: tiny}, textmill: {expect_fingerprint: [f00d]}}")
    store = open_store(options_of(tmp_path), Telemetry())
    with pytest.raises(LoadFailed, match="f00d is expected"):
        async with store.lease("ada"):
            pass
    store.close(0)
