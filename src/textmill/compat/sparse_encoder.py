"""SparseEncoder: texts become weights of the vocabulary's entries, as that class of sentence-transformers makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textmill.compat.encoder import Encoder
from textmill.compat.loaded import listed, named, positive, windows
from textmill.compat.similarity import compare_pairs
from textmill.compat.tensors import (
    Array,
    Tensor,
    array_of,
    holds_tensors,
    is_tensor,
    sparse_rows,
    to_sparse_tensor,
    to_tensor,
)
from textmill.contract import Kind, SparseVector


class SparseEncoder(Encoder):
    """A model of sparse vectors, for code written against sentence-transformers; arguments and errors as `SentenceTransformer`.

    ``max_active_dims`` keeps that many of the largest weights.
    """

    task = "embed_sparse"
    organisation = "sparse-encoder"
    measure = "dot"

    def __init__(self, model_name_or_path: str | Path | None = None, **keywords: Any) -> None:
        most = keywords.pop("max_active_dims", None)
        super().__init__(model_name_or_path, keywords)
        self.max_active_dims: int | None = most or self._settings.get("max_active_dims", int, 0) or None

    def encode(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_tensor: bool = True,
        convert_to_sparse_tensor: bool = True,
        save_to_cpu: bool = False,
        device: object = None,
        max_active_dims: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
        **keywords: Any,
    ) -> Any:
        """Weigh the vocabulary's entries for each text.

        Args:
            inputs: a text, or texts; also called ``sentences``.
            prompt_name: as in `SentenceTransformer.encode`, and so are ``prompt``, ``batch_size`` and ``show_progress_bar``.
            prompt: as there.
            batch_size: as there.
            show_progress_bar: as there.
            convert_to_tensor: one tensor of PyTorch, as sentence-transformers has it by default; False needs none and gives a list.
            convert_to_sparse_tensor: a sparse COO tensor, or in the list `textmill.contract.SparseVector`; False for all values of
                the vocabulary.
            save_to_cpu: results are there anyway.
            device: as in `SentenceTransformer.encode`, and so are ``pool`` and ``chunk_size``.
            max_active_dims: keep that many of the largest weights.
            pool: without effect.
            chunk_size: without effect.
            keywords: ``task``: ``query`` or ``document``, for models that tell them apart.

        Returns:
            A tensor (texts, vocabulary), or a list of the texts' vectors; for a single text its own.

        """
        del save_to_cpu, pool, chunk_size
        texts, single = listed(named(inputs, keywords, "sentences"))
        kind: Kind = "query" if keywords.pop("task", None) == "query" else "document"
        self._no_more(keywords, "encode")
        positive(batch_size)
        self._placed(device)
        text, most = self._prompt(prompt, prompt_name), max_active_dims or self.max_active_dims
        made = [
            vector
            for part in windows(texts, bar=show_progress_bar)
            for vector in self._model.embed_sparse(part, kind=kind, top=most, prompt=text)
        ]
        if convert_to_tensor:
            whole = self._tensor(made, sparse=convert_to_sparse_tensor)
            return whole[0] if single else whole
        rows = made if convert_to_sparse_tensor else [self._dense(vector) for vector in made]
        return rows[0] if single else rows

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Array | Tensor:
        """How alike each vector is to the one at its place: float32 (vectors,)."""
        first, second = ([self._dense(row) for row in self._rows(each)] for each in (embeddings1, embeddings2))
        made = compare_pairs(np.stack(first), np.stack(second), self._similarity)
        if _is_one(embeddings1) and _is_one(embeddings2):
            made = array_of(np.asarray(made).reshape(()))
        return to_tensor(made) if is_tensor(embeddings1) or is_tensor(embeddings2) else made

    def get_embedding_dimension(self) -> int:
        """How many entries the vocabulary has."""
        return self._model.info.vocabulary

    def sparsity(self, embeddings: Any) -> dict[str, float]:
        """How many entries have a weight on the mean (``active_dims``), and the share of those without (``sparsity_ratio``)."""
        rows = self._rows(embeddings)
        active = float(np.mean([len(row.indices) for row in rows])) if rows else 0.0
        return {"active_dims": active, "sparsity_ratio": 1 - active / self.get_embedding_dimension()}

    def intersection(self, embeddings_1: Any, embeddings_2: Any) -> Any:
        """The entries that a vector shares with another, or with each of several, with the products of their weights above zero.

        In the form of the second: a sparse tensor, a `SparseVector` or a list of these.
        """
        [first] = self._rows(embeddings_1)
        made = [_shared(first, row) for row in self._rows(embeddings_2)]
        whole = to_sparse_tensor(made, self.get_embedding_dimension()) if holds_tensors(embeddings_2) else made
        return whole[0] if _is_one(embeddings_2) else whole

    def decode(self, embeddings: Any, top_k: int | None = None) -> Any:
        """The entries of a vector as pairs of token and weight, the largest first; for several vectors a list of such lists.

        Raises ValueError for ``top_k`` below 1.
        """
        if top_k is not None and top_k <= 0:
            msg = f"top_k is {top_k}; it must be at least 1"
            raise ValueError(msg)
        told = [self._told_entries(row, top_k) for row in self._rows(embeddings)]
        return told[0] if _is_one(embeddings) else told

    def _told_entries(self, row: SparseVector, most: int | None) -> list[tuple[str | None, float]]:
        order = np.argsort(-row.values, kind="stable")[:most]
        tokens = self.tokenizer.convert_ids_to_tokens(row.indices[order])
        return list(zip(tokens, row.values[order].tolist(), strict=True))

    def _rows(self, given: Any) -> list[SparseVector]:
        """Vectors in any form that `encode` gives."""
        if isinstance(given, SparseVector):
            return [given]
        if is_tensor(given):
            return sparse_rows(given if given.is_sparse else given.to_sparse())
        if isinstance(given, np.ndarray) and given.ndim == 1:
            return [_entries(given)]
        return [
            row for each in given for row in ([_entries(each)] if isinstance(each, np.ndarray) else self._rows(each))
        ]

    def _tensor(self, vectors: Sequence[SparseVector], *, sparse: bool) -> Tensor:
        if not vectors:
            empty = to_tensor(np.empty(0, np.float32))
            return empty.to_sparse() if sparse else empty
        whole = to_sparse_tensor(vectors, self.get_embedding_dimension())
        return whole if sparse else whole.to_dense()

    def _dense(self, vector: SparseVector) -> Array:
        values = np.zeros(self.get_embedding_dimension(), np.float32)
        values[vector.indices] = vector.values
        return array_of(values)


def _shared(first: SparseVector, second: SparseVector) -> SparseVector:
    both, of_first, of_second = np.intersect1d(first.indices, second.indices, return_indices=True)
    values = first.values[of_first] * second.values[of_second]
    return SparseVector(both[values > 0].astype(np.int32), values[values > 0].astype(np.float32))


def _is_one(given: Any) -> bool:
    """Whether it is a vector, and no list of them."""
    return isinstance(given, SparseVector) or getattr(given, "ndim", 2) == 1


def _entries(values: Any) -> SparseVector:
    indices = np.flatnonzero(values)
    return SparseVector(indices.astype(np.int32), np.asarray(values)[indices].astype(np.float32))
