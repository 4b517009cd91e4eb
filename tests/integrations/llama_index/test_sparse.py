from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.sparse_embeddings.textmill import TextmillSparseEmbedding
from tests.compat.sided import sided_splade

import textmill

TEXTS = ["The mill turns.", "Water drives the wheel."]


async def test_in_the_process_and_on_a_server_weights_are_those_of_the_model(splade: Path, url: str) -> None:
    local = TextmillSparseEmbedding(str(splade), load_kwargs={"dtype": "float32"})
    remote = TextmillSparseEmbedding("splade", url, api_key="key")
    with textmill.load(str(splade), task="embed_sparse", dtype="float32") as model:
        rows = model.embed_sparse(TEXTS)

    for encoder in (local, remote):
        made = encoder.get_text_embedding_batch(TEXTS)
        assert made == await encoder.aget_text_embedding_batch(TEXTS)
        for row, weights in zip(rows, made, strict=True):
            assert sorted(weights) == row.indices.tolist()
            assert [weights[index] for index in sorted(weights)] == pytest.approx(row.values.tolist(), abs=1e-5)
        assert encoder.get_query_embedding("a") == pytest.approx(await encoder.aget_query_embedding("a"))
        await encoder.aclose()


@pytest.mark.filterwarnings("ignore:Sparse")  # torch warns of its own
async def test_queries_and_documents_may_be_embedded_in_their_own_ways(tmp_path: Path) -> None:
    theirs = sided_splade(tmp_path)
    ours = TextmillSparseEmbedding(str(tmp_path / "sided"), load_kwargs={"dtype": "float32"})

    def check(weights: dict[int, float], encode: Any) -> None:
        [wanted] = encode(TEXTS[:1], convert_to_sparse_tensor=False).numpy()
        made = np.zeros(len(wanted))
        made[list(weights)] = list(weights.values())
        np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-5)

    for query in (ours.get_query_embedding(TEXTS[0]), await ours.aget_query_embedding(TEXTS[0])):
        check(query, theirs.encode_query)
    for text in (ours.get_text_embedding(TEXTS[0]), await ours.aget_text_embedding(TEXTS[0])):
        check(text, theirs.encode_document)


def test_the_largest_weights_alone(splade: Path, url: str) -> None:
    exact = {"dtype": "float32"}
    every = TextmillSparseEmbedding(str(splade), load_kwargs=exact).get_text_embedding(TEXTS[0])
    largest = sorted(every, key=lambda index: -every[index])[:3]

    for encoder in (
        TextmillSparseEmbedding(str(splade), top=3, load_kwargs=exact),
        TextmillSparseEmbedding("splade", url, api_key="key", top=3),
    ):
        assert sorted(encoder.get_text_embedding(TEXTS[0])) == sorted(largest)


def test_a_dump_has_no_secret() -> None:
    remote = TextmillSparseEmbedding("m", "http://h", api_key="sk-one")

    assert remote.model_dump()["class_name"] == "TextmillSparseEmbedding"
    assert "sk-" not in repr((remote, remote.model_dump(), remote.to_payload()))


def test_arguments_of_the_class_that_is_replaced(splade: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no use for providers"):
        encoder = TextmillSparseEmbedding(
            str(splade), max_length=9, cache_dir=tmp_path, threads=1, providers=["CPUExecutionProvider"]
        )

    assert encoder.load_kwargs == {"max_seq_length": 9, "cache_dir": str(tmp_path), "threads": 1}
    assert TextmillSparseEmbedding.model_validate(encoder.model_dump()).load_kwargs == encoder.load_kwargs
    assert encoder.get_text_embedding("a b c d e f g h i j") == encoder.get_text_embedding("a b c d e f g")


def test_a_model_of_another_kind_on_a_server_is_no_reason_to_wait(url: str) -> None:
    with pytest.raises(textmill.ForwardFailed, match="cannot embed_sparse"):
        TextmillSparseEmbedding("tiny", url, api_key="key").get_text_embedding("a")
