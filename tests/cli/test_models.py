"""What a server has when it begins."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from tests.folder.conftest import as_nobody

from textmill.cli.models import given_models, open_store
from textmill.config import ServeOptions
from textmill.contract import EmbedDefaults, EmbedOptions
from textmill.errors import ConfigInvalid, LoadFailed, ModelNotFound
from textmill.telemetry import Telemetry
from textmill.testing.checkpoints import tiny_bert


def options_of(path: Path, **changes: object) -> ServeOptions:
    return ServeOptions(models_path=str(path), threads=1, dtype="float32", **changes)  # type: ignore[arg-type]


def test_a_folder_that_happens_to_be_called_models_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "views.py").write_text("pass")
    (tmp_path / "__pycache__").mkdir()
    store = open_store(options_of(tmp_path), Telemetry())
    assert [model.info.name for model in store.models()] == ["all-MiniLM-L6-v2"]
    store.close(0)


def test_models_of_the_folder_are_known_and_those_that_are_named_loaded(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tiny_bert(tmp_path / name)
    store = open_store(options_of(tmp_path, load=("two",)), Telemetry())
    assert [(known.name, model is not None) for known, _, model in store.known()] == [("one", False), ("two", True)]
    store.close(0)


def test_a_model_that_was_given_stands_before_those_of_the_folder(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "models" / "one")
    given = tiny_bert(tmp_path / "given")
    options = options_of(tmp_path / "models", models=(str(given),), served_model_name="mine")
    store = open_store(options, Telemetry())
    assert [known.name for known, _, _ in store.known()] == ["mine", "one"]
    store.close(0)


def test_a_file_of_models_that_is_not_there_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_bert(tmp_path / "one")
    for name, told in (("here.yaml", 0), ("none.yaml", 1)):
        caplog.clear()
        (tmp_path / "here.yaml").write_text("[]")
        open_store(options_of(tmp_path, models_config_file=str(tmp_path / name)), Telemetry()).close(0)
        assert sum("nothing is installed or deleted" in each for each in caplog.messages) == told


def test_a_start_that_cannot_have_what_it_is_to_load_ends(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "one")
    with pytest.raises(ModelNotFound, match="did you mean 'one'"):
        open_store(options_of(tmp_path, load=("on",)), Telemetry())
    with pytest.raises(LoadFailed, match="Raise the memory limit"):
        open_store(options_of(tmp_path, load=("one",), memory_limit=1), Telemetry())


async def test_what_a_file_says_of_vectors_holds_where_a_request_says_nothing(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "tiny")
    (tmp_path / "ada.yaml").write_text(
        "{name: ada, options: ['embd_normalize:1'], parameters: {model: tiny, pooling: decayed_mean, "
        "pooling_half_life_tokens: 8, encoding_format: base64}}"
    )
    store = open_store(options_of(tmp_path), Telemetry())
    async with store.lease("ada") as filed, store.lease("tiny") as plain:
        assert filed.info.defaults == EmbedDefaults(norm=1, pooling="decayed_mean", half_life=8, encoding="base64")
        assert plain.info.defaults == EmbedDefaults()
        vectors = (await filed.embed_inputs(["hello world", "a"], EmbedOptions())).vectors
        unit = (
            await plain.embed_inputs(["hello world", "a"], EmbedOptions(pooling="decayed_mean", half_life=8))
        ).vectors
    np.testing.assert_allclose(np.abs(vectors).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors, unit / np.abs(unit).sum(axis=1, keepdims=True), atol=1e-6)
    store.close(0)


def test_a_memory_limit_where_the_system_does_not_tell_memory_is_refused(tmp_path: Path) -> None:
    options = options_of(tmp_path, models=("mine",), memory_limit=100)
    with pytest.raises(ConfigInvalid, match="--memory-limit needs"):
        given_models(options, memory=0)
    assert given_models(options, memory=1) == ("mine",)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_models_folder_that_may_not_be_read_is_no_reason_to_serve_another_model(mode: int) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are root's alone
        Path(place).chmod(0o755)
        folder = Path(place) / "models"
        tiny_bert(folder / "one")
        folder.chmod(mode)
        with as_nobody(), pytest.raises(ConfigInvalid, match=f"{folder} cannot be read .Permission denied."):
            given_models(options_of(folder), memory=1)
        folder.chmod(0o755)
