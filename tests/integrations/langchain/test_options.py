"""``model_kwargs`` are what sentence-transformers' constructors take; `textmill.compat.load_options` knows them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_textmill import TextmillEmbeddings, TextmillRerank, TextmillSparseEmbeddings
from langchain_textmill.options import load_options

from textmill.errors import ModelNotFound


def test_keywords_and_the_folder_of_the_cache_become_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTMILL_DTYPE", raising=False)
    monkeypatch.delenv("SENTENCE_TRANSFORMERS_HOME", raising=False)

    assert load_options({}, None, "Cls") == {"dtype": "float32"}
    made = load_options({"model_kwargs": {"file_name": "a.onnx"}, "threads": 2}, "/elsewhere", "Cls")
    assert made == {"dtype": "float32", "file": "a.onnx", "threads": 2, "cache_dir": "/elsewhere"}


def test_models_are_where_sentence_transformers_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", "/home")
    monkeypatch.delenv("TEXTMILL_CACHE_DIR", raising=False)
    assert load_options({}, None, "Cls")["cache_dir"] == "/home"
    assert load_options({}, "/elsewhere", "Cls")["cache_dir"] == "/elsewhere"
    monkeypatch.setenv("TEXTMILL_CACHE_DIR", "/ours")
    assert "cache_dir" not in load_options({}, None, "Cls")


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        (TextmillEmbeddings, "sentence-transformers"),
        (TextmillRerank, "cross-encoder"),
        (TextmillSparseEmbeddings, "sparse-encoder"),
    ],
)
def test_a_name_without_its_owner_is_one_of_sentence_transformers(kind: Any, owner: str) -> None:
    with pytest.raises(ModelNotFound, match=f"^{owner}/no-such-model is not in the cache"):
        kind(model_name="no-such-model", model_kwargs={"local_files_only": True})


def test_what_has_no_effect_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Cls does nothing with 'something' here"):
        load_options({"something": 1}, "/cache", "Cls")
