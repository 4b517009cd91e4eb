"""TextmillSparseEmbeddings has the vectors of SparseEncoder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from langchain_textmill import SparseVector, TextmillSparseEmbeddings
from sentence_transformers import SparseEncoder
from tests.compat.sided import sided_splade
from tests.integrations.langchain.conftest import Opened

TEXTS = ["hello world", "", "the small river stone, and water."]


def dense(vectors: list[SparseVector], width: int) -> list[list[float]]:
    rows = np.zeros((len(vectors), width))
    for row, vector in zip(rows, vectors, strict=True):
        row[vector.indices] = vector.values
    return rows.tolist()


def test_vectors_are_those_of_sentence_transformers(splade: str, opened: Opened) -> None:
    ours = opened(TextmillSparseEmbeddings, model_name=splade)
    wanted = SparseEncoder(splade, device="cpu").encode(TEXTS, convert_to_sparse_tensor=False).numpy()
    width = wanted.shape[1]

    for vectors in (ours.embed_documents(TEXTS), [ours.embed_query(text) for text in TEXTS]):
        np.testing.assert_allclose(dense(vectors, width), wanted, rtol=0, atol=1e-5)
    assert asyncio.run(ours.aembed_documents(TEXTS)) == ours.embed_documents(TEXTS)
    assert asyncio.run(ours.aembed_query(TEXTS[0])) == ours.embed_query(TEXTS[0])
    assert ours.embed_documents([]) == []


def test_only_the_largest_values_are_kept(splade: str, opened: Opened) -> None:
    ours = opened(TextmillSparseEmbeddings, model=splade, top=2, show_progress=True)
    assert [len(vector.values) for vector in ours.embed_documents(TEXTS[:1])] == [2]


@pytest.mark.filterwarnings("ignore:Sparse")  # torch warns of its own
def test_queries_and_documents_may_be_embedded_in_their_own_ways(tmp_path: Path, opened: Opened) -> None:
    theirs = sided_splade(tmp_path)
    ours = opened(TextmillSparseEmbeddings, model=str(tmp_path / "sided"))
    queries, documents = (
        encode(TEXTS, convert_to_sparse_tensor=False).numpy()
        for encode in (theirs.encode_query, theirs.encode_document)
    )
    width = queries.shape[1]
    awaited = [asyncio.run(ours.aembed_query(text)) for text in TEXTS]
    for made, wanted in (([ours.embed_query(text) for text in TEXTS], queries), (awaited, queries)):
        np.testing.assert_allclose(dense(made, width), wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(dense(ours.embed_documents(TEXTS), width), documents, rtol=0, atol=1e-5)
