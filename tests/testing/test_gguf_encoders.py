from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xllamacpp
from safetensors.numpy import load_file
from tests.testing.conftest import Open

import textmill
from textmill.folder.gguf import GgufFacts, read_gguf
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3, write_safetensors
from textmill.testing.gguf_encoders import bert_gguf, nomic_gguf, qwen3_gguf
from textmill.testing.heads import tiny_reranker
from textmill.testing.nomic import tiny_nomic

Writer = Callable[..., Path]

TEXTS = ["hello world", "The river, and a stone!", "x", "日本 été"]
PAIRS = [(tiny_bert, bert_gguf, "mean"), (tiny_bert, bert_gguf, "cls"), (tiny_qwen3, qwen3_gguf, "lasttoken")]
PAIRS += [(tiny_qwen3, qwen3_gguf, "mean")]
ROOM = {"n_ctx": 512, "n_batch": 256, "n_ubatch": 256, "embedding": True}


def vectors(server: Any, texts: list[str]) -> npt.NDArray[np.float64]:
    return np.array([row["embedding"] for row in server.handle_embeddings({"input": texts})["data"]])


def assert_alike(theirs: npt.NDArray[np.float64], ours: npt.NDArray[np.float32]) -> None:
    """llama.cpp reads activations from tables of float16 and keeps keys and values in it."""
    assert theirs.shape == ours.shape
    assert (theirs * ours).sum(axis=1) == pytest.approx(1, abs=3e-4)


@pytest.mark.parametrize(("tiny", "write", "pooling"), PAIRS)
def test_llamacpp_makes_our_vectors_of_a_checkpoint(
    tiny: Writer, write: Writer, pooling: str, tmp_path: Path, opened: Open
) -> None:
    folder = tiny(tmp_path / "tiny", pooling=pooling)
    file = write(tmp_path / "m.gguf", folder, pooling=pooling)

    with textmill.load(str(folder)) as model:
        assert_alike(vectors(opened(file, **ROOM), TEXTS), model.embed(TEXTS))


def test_llamacpp_makes_our_vectors_of_nomics_bert(tmp_path: Path, opened: Open) -> None:
    folder = tiny_nomic(tmp_path / "tiny")

    with textmill.load(str(folder)) as model:
        assert_alike(vectors(opened(nomic_gguf(tmp_path / "m.gguf", folder), **ROOM), TEXTS), model.embed(TEXTS))


def test_llamacpp_scores_texts_as_we_do_where_both_sides_are_of_one_type(tmp_path: Path, opened: Open) -> None:
    folder = tiny_reranker(tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    types = weights["bert.embeddings.token_type_embeddings.weight"]
    types[1] = types[0]  # llama.cpp gives every token type 0
    write_safetensors(folder / "model.safetensors", weights)
    rank = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    server = opened(bert_gguf(tmp_path / "m.gguf", folder, pooling="rank"), **ROOM, pooling_type=rank)

    theirs = {
        row["index"]: row["relevance_score"]
        for row in server.handle_rerank({"query": "hello", "documents": TEXTS})["results"]
    }

    with textmill.load(str(folder)) as model:
        ours = {row.index: row.score for row in model.rerank("hello", TEXTS, scoring="raw")}
    assert theirs == pytest.approx(ours, abs=5e-3)


@pytest.mark.parametrize(
    ("tiny", "write", "pooling", "facts"),
    [
        (tiny_bert, bert_gguf, "mean", GgufFacts("bert", 64, "mean", type="model")),
        (tiny_bert, bert_gguf, "none", GgufFacts("bert", 64, "none", type="model")),
        (tiny_reranker, bert_gguf, "rank", GgufFacts("bert", 64, "rank", type="model")),
        (tiny_qwen3, qwen3_gguf, "lasttoken", GgufFacts("qwen3", 128, "last", type="model", cached=128)),
        (tiny_nomic, nomic_gguf, "mean", GgufFacts("nomic-bert", 64, "mean", type="model")),
    ],
)
def test_a_file_is_the_same_each_time_and_the_houses_reader_reads_it(
    tiny: Writer, write: Writer, pooling: str, facts: GgufFacts, tmp_path: Path
) -> None:
    first, again, other = (
        write(tmp_path / f"{name}.gguf", tiny(tmp_path / name, seed=seed), pooling=pooling)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )

    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert first.stat().st_size < 500_000
    assert read_gguf(first) == facts


def test_weights_can_be_halved(tmp_path: Path, opened: Open) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    whole, half = (
        bert_gguf(tmp_path / f"{np.dtype(kind)}.gguf", folder, dtype=kind) for kind in (np.float32, np.float16)
    )

    assert half.stat().st_size < 0.8 * whole.stat().st_size
    with textmill.load(str(folder)) as model:
        assert_alike(vectors(opened(half, **ROOM), TEXTS), model.embed(TEXTS))
