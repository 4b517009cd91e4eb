"""The embed_hybrid task: dense, sparse and multi-vector embeddings of a text from one forward pass (bge-m3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textmill.contract import EmbedOptions, HybridEmbeddings, Input
from textmill.tasks.embed import EmbedCall, Embedder
from textmill.tasks.line import Done, Prepared
from textmill.tasks.multivector import MultiEmbedder, counted_vectors
from textmill.tasks.sparse import lexical


class HybridEmbedder:
    """Makes calls that embed in all three ways. Thread-safe."""

    def __init__(self, dense: Embedder, multi: MultiEmbedder, special: frozenset[int]) -> None:
        self._dense = dense
        self._multi = multi
        self._special = special

    def call(self, inputs: Sequence[Input], options: EmbedOptions) -> HybridCall:
        """A call for these inputs; the options are those of `embed`."""
        dense = self._dense.call(inputs, replace(options, pooling="own"))
        return HybridCall(dense, self._multi, self._special, normalize=options.normalize is not False)


class HybridCall:
    """One call: the dense one's rows, which want the other outputs as well."""

    def __init__(self, dense: EmbedCall, multi: MultiEmbedder, special: frozenset[int], *, normalize: bool) -> None:
        self.inputs = dense.inputs
        self._dense = dense
        self._multi = multi
        self._special = special
        self._normalize = normalize

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input, which keeps which of its tokens count for late interaction."""
        prepared = []
        for each in self._dense.prepare(inputs, first):
            row = replace(each.row, outputs=("dense", "lexical", "multi"))
            prepared.append(replace(each, row=row, kept=self._multi.counts(row.ids, "document")))
        return prepared

    def finish(self, done: Done) -> HybridEmbeddings:
        """All three embeddings of each input."""
        rows = zip(done.prepared, done.outputs["lexical"], strict=True)
        return HybridEmbeddings(
            dense=self._dense.finish(done).vectors,
            sparse=tuple(lexical(each.row.ids, weights[:, 0], self._special) for each, weights in rows),
            multi=tuple(counted_vectors(done, normalize=self._normalize)),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
            cached=done.cached,
        )
