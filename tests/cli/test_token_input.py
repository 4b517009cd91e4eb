from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from textmill.cli.token_input import open_token_input
from textmill.config import ServeOptions
from textmill.errors import ConfigInvalid

CL100K = ServeOptions(token_input="cl100k")  # noqa: S106 - no password


def test_by_default_ids_are_the_models_own() -> None:
    assert open_token_input(ServeOptions()) is None


def test_offline_a_missing_vocabulary_is_told_with_its_place_and_the_way_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(ConfigInvalid, match=r"9b5ad71b.* offline; put it there.*get_encoding") as caught:
        open_token_input(structs.replace(CL100K, offline=True))
    assert str(tmp_path) in str(caught.value)


def test_what_cannot_be_fetched_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigInvalid, match="cannot be fetched"):
        open_token_input(CL100K)


def test_another_file_in_its_place_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    (tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4").write_text("IQ== 0\n")
    with pytest.raises(ConfigInvalid, match="is not in tiktoken's cache"):
        open_token_input(structs.replace(CL100K, offline=True))
