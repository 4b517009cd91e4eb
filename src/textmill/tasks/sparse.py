"""The embed_sparse task: weights for the vocabulary's entries, by a SPLADE head, a table of weights, or bge-m3's lexical head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.arch.heads import Output
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Input, SparseEmbeddings, SparseOptions, SparseVector
from textmill.runtimes.runtime import Row
from textmill.tasks.best import check_top
from textmill.tasks.line import Call, Done, Prepared
from textmill.tasks.texts import TextProfile, Texts


class QueryTable:
    """The weights (vocabulary,) of a query's tokens, and the tokenizer that finds them, without special tokens."""

    def __init__(self, tokenizer: Tokenizer, weights: npt.NDArray[np.float32]) -> None:
        self.tokenizer = tokenizer
        self.weights = weights


class SparseEmbedder:
    """Makes calls that embed sparsely, from the program's ``output`` sparse or lexical. Thread-safe."""

    def __init__(
        self, tokenizer: Tokenizer, texts: TextProfile, output: Output, size: int, queries: QueryTable | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._output = output
        self._size = size
        self._queries = queries

    def call(self, inputs: Sequence[Input], options: SparseOptions) -> Call[Input, SparseEmbeddings]:
        """A call for these inputs; see `textmill.contract.EmbedSparse`."""
        check_top(options.top)
        if options.kind == "query" and self._queries is not None:
            texts = Texts(self._queries.tokenizer, self._texts, inputs, options)
            return TableCall(inputs, texts, self._queries, options.top)
        texts = Texts(self._tokenizer, self._texts, inputs, options)
        return SparseCall(inputs, texts, self._output, self._size, options.top, self._tokenizer.special_ids)


class SparseCall:
    """One call that the program answers."""

    def __init__(
        self,
        inputs: Sequence[Input],
        texts: Texts,
        output: Output,
        size: int,
        top: int | None,
        special: frozenset[int],
    ) -> None:
        self.inputs = inputs
        self._texts = texts
        self._output = output
        self._size = size
        self._top = top
        self._special = special

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input."""
        encoded = enumerate(self._texts.encode(inputs, first), first)
        return [Prepared(Row(item.ids, outputs=(self._output,)), index, item.truncated) for index, item in encoded]

    def finish(self, done: Done) -> SparseEmbeddings:
        """The vectors, cut to their largest weights."""
        made = done.outputs[self._output]
        if self._output == "lexical":
            rows = zip(done.prepared, made, strict=True)
            vectors = [lexical(each.row.ids, weights[:, 0], self._special) for each, weights in rows]
        else:
            # Copies: fields of entries lie apart in memory, which orjson does not write and which keeps both alive.
            vectors = [SparseVector(entries["index"].copy(), entries["value"].copy()) for entries in made]
        return _answer(vectors, self._size, self._top, done)


class TableCall:
    """One call for queries whose weights lie in a table; nothing is left to compute."""

    def __init__(self, inputs: Sequence[Input], texts: Texts, table: QueryTable, top: int | None) -> None:
        self.inputs = inputs
        self._texts = texts
        self._table = table
        self._top = top

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input, which wants no output."""
        encoded = enumerate(self._texts.encode(inputs, first), first)
        return [Prepared(Row(item.ids, outputs=()), index, item.truncated) for index, item in encoded]

    def finish(self, done: Done) -> SparseEmbeddings:
        """The weight of each token that occurs, however often it does."""
        weights = self._table.weights
        vectors = []
        for each in done.prepared:
            index = np.unique(each.row.ids)
            index = index[weights[index] != 0]
            vectors.append(SparseVector(index.astype(np.int32), weights[index]))
        return _answer(vectors, len(weights), self._top, done)


def lexical(ids: npt.NDArray[np.int32], weights: npt.NDArray[np.float32], special: frozenset[int]) -> SparseVector:
    """For each id the largest weight of its tokens, special tokens and weights of zero left out (bge-m3, arXiv:2402.03216)."""
    kept = (weights > 0) & ~np.isin(ids, list(special))
    index, place = np.unique(ids[kept], return_inverse=True)
    values = np.zeros(len(index), np.float32)
    np.maximum.at(values, place, weights[kept])
    return SparseVector(index.astype(np.int32), values)


def _answer(vectors: Sequence[SparseVector], size: int, top: int | None, done: Done) -> SparseEmbeddings:
    cut: Any = vectors if top is None else [_largest(vector, top) for vector in vectors]
    return SparseEmbeddings(
        vectors=tuple(cut),
        size=size,
        tokens=done.tokens,
        truncated=done.truncated,
        timings=done.timings,
        cached=done.cached,
    )


def _largest(vector: SparseVector, top: int) -> SparseVector:
    """The ``top`` largest weights, still ascending by index."""
    if len(vector.values) <= top:
        return vector
    kept = np.sort(np.argpartition(vector.values, -top)[-top:])
    return SparseVector(vector.indices[kept], vector.values[kept])
