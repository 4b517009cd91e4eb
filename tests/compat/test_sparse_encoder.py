"""Sparse vectors beside sentence-transformers' own class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch  # noqa: TID253 - the reference runs on it
from tests.compat.sided import sided_splade

from textmill.compat import SparseEncoder
from textmill.contract import SparseVector
from textmill.errors import ModelBroken
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.heads import tiny_splade

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")  # torch warns of its own

TEXTS = ["the river ends in the sea", "", "a stone", "zz"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SparseEncoder, Any]]:
    folder = tiny_splade(tmp_path_factory.mktemp("compat") / "tiny")
    with SparseEncoder(folder) as ours:
        yield ours, sentence_transformers.SparseEncoder(str(folder), device="cpu")


def dense(value: Any) -> Any:
    return np.asarray(value.to_dense() if isinstance(value, torch.Tensor) else value)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"max_active_dims": 5}, {"convert_to_sparse_tensor": False}, {"prompt": "a "}, {"task": "query"}],
    ids=str,
)
def test_tensors_are_those_of_sentence_transformers(both: tuple[SparseEncoder, Any], keywords: dict[str, Any]) -> None:
    ours, theirs = both
    for inputs in (TEXTS, TEXTS[0], []):
        mine, reference = ours.encode(inputs, **keywords), theirs.encode(inputs, **keywords)

        assert (mine.shape, mine.is_sparse) == (reference.shape, reference.is_sparse)
        np.testing.assert_allclose(dense(mine), dense(reference), atol=1e-5)


def test_lists_need_no_tensors(both: tuple[SparseEncoder, Any]) -> None:
    ours, theirs = both
    reference = dense(theirs.encode(TEXTS))

    rows = ours.encode(TEXTS, convert_to_tensor=False)
    assert all(isinstance(row, SparseVector) for row in rows)
    whole = ours.encode(TEXTS, convert_to_tensor=False, convert_to_sparse_tensor=False)
    np.testing.assert_allclose(np.stack(whole), reference, atol=1e-5)
    np.testing.assert_array_equal(rows[0].indices, np.flatnonzero(whole[0]))


@pytest.mark.parametrize("name", ["dot", "cosine", "euclidean", "manhattan"])
def test_each_measure_is_that_of_sentence_transformers(both: tuple[SparseEncoder, Any], name: Any) -> None:
    ours, theirs = both
    ours.similarity_fn_name = theirs.similarity_fn_name = name
    query, texts = theirs.encode_query(TEXTS[:2]), theirs.encode_document(TEXTS)
    lists = [ours.encode(each, convert_to_tensor=False) for each in (TEXTS[:2], TEXTS)]

    mine = ours.similarity(query, texts)
    assert isinstance(mine, torch.Tensor)
    reference = theirs.similarity(query, texts)
    tolerance = 2e-2 if name == "euclidean" else 1e-3  # theirs is the difference of large squares, in float32
    np.testing.assert_allclose(mine, reference, atol=tolerance, rtol=1e-4)
    np.testing.assert_allclose(ours.similarity(*lists), reference, atol=tolerance, rtol=1e-4)
    pairwise = theirs.similarity_pairwise(texts, texts)
    np.testing.assert_allclose(ours.similarity_pairwise(texts, texts), pairwise, atol=1e-2, rtol=1e-4)
    assert ours.similarity_pairwise(texts[0], texts[2]).shape == theirs.similarity_pairwise(texts[0], texts[2]).shape
    assert ours.similarity_pairwise(lists[1][0], lists[1][2]).shape == ()


def test_entries_that_are_shared_are_those_of_sentence_transformers(both: tuple[SparseEncoder, Any]) -> None:
    ours, theirs = both
    tensor, rows = theirs.encode(TEXTS), ours.encode(TEXTS, convert_to_tensor=False)

    for second in (tensor, tensor[2]):
        mine, reference = ours.intersection(tensor[0], second), theirs.intersection(tensor[0], second)
        assert (mine.shape, mine.is_sparse) == (reference.shape, True)
        np.testing.assert_allclose(dense(mine), dense(reference), atol=1e-5)
    assert (
        ours.decode(ours.intersection(rows[0], rows[2]))[0][0]
        == theirs.decode(theirs.intersection(tensor[0], tensor[2]))[0][0]
    )
    assert len(ours.intersection(rows[0], rows)) == len(rows)


def test_as_many_entries_are_kept_as_the_files_say(tmp_path: Path) -> None:
    theirs = sentence_transformers.SparseEncoder(str(tiny_splade(tmp_path / "tiny")), device="cpu", max_active_dims=4)
    theirs.save_pretrained(str(tmp_path / "saved"))
    with SparseEncoder(tmp_path / "saved") as ours:
        assert ours.max_active_dims == 4
        np.testing.assert_allclose(dense(ours.encode(TEXTS)), dense(theirs.encode(TEXTS)), atol=1e-5)
        assert ours.encode(TEXTS[0], convert_to_tensor=False, max_active_dims=2).indices.shape == (2,)


def test_entries_are_told_as_by_sentence_transformers(both: tuple[SparseEncoder, Any]) -> None:
    ours, theirs = both
    tensor = theirs.encode(TEXTS)

    assert ours.decode(tensor, top_k=3) == theirs.decode(tensor, top_k=3)
    assert dict(ours.decode(tensor[0])) == dict(theirs.decode(tensor[0]))
    rows = ours.encode(TEXTS, convert_to_tensor=False)
    assert [[word for word, _ in each] for each in ours.decode(rows, top_k=3)] == [
        [word for word, _ in each] for each in theirs.decode(tensor, top_k=3)
    ]
    assert ours.sparsity(tensor) == pytest.approx(theirs.sparsity(tensor))
    assert ours.get_embedding_dimension() == theirs.get_embedding_dimension()
    with pytest.raises(ValueError, match="top_k is 0"):
        ours.decode(tensor, top_k=0)


def test_the_constructor_may_say_how_many_weights_are_kept(tmp_path: Path) -> None:
    with SparseEncoder(tiny_splade(tmp_path / "tiny"), max_active_dims=3) as model:
        assert {len(row.indices) for row in model.encode(TEXTS, convert_to_tensor=False)} == {3}
        assert len(model.encode("a stone", convert_to_tensor=False, max_active_dims=5).indices) == 5


def test_the_sides_of_a_search_may_have_models_of_their_own(tmp_path: Path) -> None:
    theirs = sided_splade(tmp_path)
    with SparseEncoder(tmp_path / "sided") as ours:
        for verb in ("encode_query", "encode_document", "encode"):
            mine, reference = (getattr(model, verb)(TEXTS) for model in (ours, theirs))
            np.testing.assert_allclose(dense(mine), dense(reference), atol=1e-5)


def test_what_cannot_be_is_refused(both: tuple[SparseEncoder, Any], tmp_path: Path) -> None:
    ours, _ = both
    with pytest.raises(ValueError, match="batch_size is -1"):
        ours.encode(TEXTS, batch_size=-1)
    with pytest.raises(ValueError, match="encode takes no 'colour'"):
        ours.encode(TEXTS, colour=1)
    with pytest.raises(ModelBroken, match="SPLADE pooling needs a model trained as a masked language model"):
        SparseEncoder(tiny_bert(tmp_path / "dense"))
