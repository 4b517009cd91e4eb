"""The same vectors as HuggingFaceEmbedding's, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers  # noqa: F401 - theirs imports it when it is made, which takes long
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.embeddings.huggingface.utils import (
    BGE_MODELS,
    INSTRUCTOR_MODELS,
    get_query_instruct_for_model_name,
    get_text_instruct_for_model_name,
)
from llama_index.embeddings.textmill import TextmillEmbedding
from llama_index.embeddings.textmill.instructions import of_llamaindex

from textmill.testing.checkpoints import DenseModule, NormalizeModule, tiny_bert, tiny_qwen3

TEXTS = ["", "The mill turns.", "Wasser treibt das Rad, 水车", "a much longer text about water, wheels and stones " * 8]
FLOAT32: dict[str, Any] = {"model_kwargs": {"dtype": "float32"}}


def both(name: str, **arguments: Any) -> tuple[HuggingFaceEmbedding, TextmillEmbedding]:
    arguments = FLOAT32 | arguments
    theirs = HuggingFaceEmbedding(name, device="cpu", **arguments)
    return theirs, TextmillEmbedding(name, device="cpu", prompt_policy="llamaindex", **arguments)


def assert_same(theirs: HuggingFaceEmbedding, ours: TextmillEmbedding) -> None:
    assert ours.max_length == theirs.max_length
    for text in TEXTS:
        np.testing.assert_allclose(ours.get_query_embedding(text), theirs.get_query_embedding(text), atol=1e-5)
        np.testing.assert_allclose(ours.get_text_embedding(text), theirs.get_text_embedding(text), atol=1e-5)
    np.testing.assert_allclose(ours.get_text_embedding_batch(TEXTS), theirs.get_text_embedding_batch(TEXTS), atol=1e-5)


def test_of_minilm(minilm: Path) -> None:
    theirs, ours = both(str(minilm))

    expected = theirs.get_text_embedding_batch(TEXTS)
    np.testing.assert_allclose(ours.get_text_embedding_batch(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(ours.get_query_embedding(TEXTS[2]), expected[2], atol=1e-5)


@pytest.mark.parametrize(
    "name", ["BAAI/bge-small-en-v1.5", "BAAI/bge-small-zh", "hku-nlp/instructor-xl", "nobody/heard-of-it"]
)
def test_with_the_prompts_that_they_have_for_a_name(
    name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).symlink_to(tiny)
    monkeypatch.chdir(tmp_path)

    assert_same(*both(name))


@pytest.mark.timeout(60)  # the reference takes long where cores are busy
def test_of_minilm_with_the_prompt_that_they_have_for_its_name(hub_names: Path) -> None:
    assert hub_names.is_dir()
    theirs, ours = both("BAAI/bge-small-en-v1.5")

    assert_same(theirs, ours)
    assert np.abs(np.subtract(ours.get_query_embedding(TEXTS[1]), ours.get_text_embedding(TEXTS[1]))).max() > 1e-3


@pytest.mark.parametrize(
    "arguments",
    [
        {"truncate_dim": 8},
        {"max_length": 7},
        {"max_length": 50},  # the model's files say 32, and have positions for 64
        {"max_length": 0},
        {"tokenizer_kwargs": {"model_max_length": 50}},
        {"query_instruction": "find: "},
    ],
)
def test_with_arguments(arguments: dict[str, Any], tiny: Path) -> None:
    assert_same(*both(str(tiny), **arguments))


def test_of_a_model_without_a_length_of_its_own_and_another_width(tmp_path: Path) -> None:
    folder = tiny_qwen3(
        tmp_path / "qwen", modules=(DenseModule(12),), default_prompt_name="query", prompts={"query": "q: "}
    )

    assert_same(*both(str(folder), text_instruction="text: "))


def test_without_normalising(tmp_path: Path) -> None:
    theirs, ours = both(str(tiny_bert(tmp_path / "raw", modules=())), normalize=False)

    assert_same(theirs, ours)
    assert np.linalg.norm(ours.get_text_embedding("a")) > 1.1


@pytest.mark.parametrize("dimensions", [None, 8])
def test_a_model_that_normalises_itself_does_so_anyway(tmp_path: Path, dimensions: int | None) -> None:
    folder = str(tiny_bert(tmp_path / "unit", modules=(NormalizeModule(),)))
    theirs, ours = both(folder, normalize=False, truncate_dim=dimensions)

    assert_same(theirs, ours)
    np.testing.assert_allclose(ours._model.encode(TEXTS), theirs._model.encode(TEXTS), atol=1e-5)
    assert (np.linalg.norm(ours.get_text_embedding("a")) == pytest.approx(1, abs=1e-5)) == (dimensions is None)


def test_the_table_of_their_prompts_is_whole() -> None:
    for name in (*BGE_MODELS, *INSTRUCTOR_MODELS, "BAAI/bge-m3", ""):
        assert of_llamaindex(name, "query") == get_query_instruct_for_model_name(name)
        assert of_llamaindex(name, "document") == get_text_instruct_for_model_name(name)
