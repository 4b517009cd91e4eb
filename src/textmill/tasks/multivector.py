"""The embed_multi task: a vector for each token, and how texts are dressed for it; and reranking by late interaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.kind import Expansion, MultiFacts
from textmill.checkpoint.tokenizer import Encoded, Tokenizer
from textmill.contract import Input, Kind, MultiEmbeddings, MultiOptions, RerankOptions, Scores
from textmill.errors import InvalidInput, ModelBroken
from textmill.runtimes.runtime import Row
from textmill.tasks.inputs import blamed
from textmill.tasks.line import Call, Done, Prepared
from textmill.tasks.norms import normalized
from textmill.tasks.texts import TextProfile, Texts

Vectors = npt.NDArray[np.float32]
_MASKS = ("[MASK]", "<mask>", "[unused4]")
"""How vocabularies spell the token that queries are filled up with."""


class MultiEmbedder:
    """Makes calls that embed each token, or that rank texts by it. Thread-safe.

    Raises ModelBroken for a query expansion whose token the vocabulary lacks.
    """

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, facts: MultiFacts) -> None:
        self._sides: dict[Kind, Side] = {
            "query": Side("query", tokenizer, texts, facts),
            "document": Side("document", tokenizer, texts, facts),
        }
        self._normalize = facts.normalize

    def call(self, inputs: Sequence[Input], options: MultiOptions) -> MultiCall:
        """A call for these inputs; see `textmill.contract.EmbedMulti`."""
        side = self._sides[options.kind]
        return MultiCall(inputs, side.dress(inputs, options), normalize=options.normalize and self._normalize)

    def counts(self, ids: npt.NDArray[np.int32], kind: Kind) -> npt.NDArray[np.bool_]:
        """Which tokens of a row on that side give a vector, (tokens,)."""
        return self._sides[kind].counts(ids)

    def rerank(self, query: str, texts: Sequence[str], options: RerankOptions) -> MaxSimCall:
        """A call that ranks texts; see `textmill.contract.Rerank`."""
        how = MultiOptions(truncate=options.truncate, truncate_side=options.truncate_side)
        if options.scoring not in (None, "raw") or options.instruction is not None:
            msg = "late interaction has no scoring but its own and takes no instruction; leave both out"
            raise InvalidInput(msg, param="scoring" if options.instruction is None else "instruction")
        sides = [self._sides["query"].dress([query], how), self._sides["document"].dress(texts, how)]
        return MaxSimCall(query, texts, sides, normalize=self._normalize)


class MaxSimReranker:
    """The rerank verb of a multi-vector model."""

    def __init__(self, embedder: MultiEmbedder) -> None:
        self._embedder = embedder

    def call(self, query: str, texts: Sequence[str], options: RerankOptions) -> Call[Any, Scores]:
        """A call that ranks these texts by the sum of each query vector's best match (ColBERT, arXiv:2004.12832)."""
        return self._embedder.rerank(query, texts, options)


class Side:
    """How the texts of one side, queries or documents, become rows, and which of their vectors count."""

    def __init__(self, kind: Kind, tokenizer: Tokenizer, texts: TextProfile, facts: MultiFacts) -> None:
        prefix, length = (
            (facts.query_prefix, facts.query_length)
            if kind == "query"
            else (facts.document_prefix, facts.document_length)
        )
        self.tokenizer = tokenizer
        self.expansion = facts.expansion if kind == "query" else None
        self.prefix_id = _prefix_id(tokenizer, prefix) if facts.prefix_is_token else None
        longest = min(texts.max_tokens, _ceiling(length, self.expansion) or texts.max_tokens)
        self._profile = replace(
            texts,
            default_prompt="" if self.prefix_id is not None else prefix,
            max_tokens=longest - (self.prefix_id is not None),
        )
        self.filler = _filler(tokenizer, self.expansion) if self.expansion else 0
        ids = [tokenizer.token_id(word) for word in facts.skip] if kind in facts.skip_sides else []
        unknown = {tokenizer.token_id(token) for token in ("[UNK]", "<unk>")}
        self.skipped = np.array([i for i in ids if i is not None and i not in unknown], np.int32)
        self.kept = np.array(facts.keep_ids if kind == "document" else (), np.int32)
        self.skip_first = facts.skip_first

    def dress(self, inputs: Sequence[Input], options: MultiOptions) -> Dress:
        """The side's way with the texts of one call."""
        return Dress(self, Texts(self.tokenizer, self._profile, inputs, options))

    def counts(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which tokens of a row give a vector, (tokens,)."""
        counted = ~np.isin(ids, self.skipped)
        if len(self.kept):
            counted &= np.isin(ids, self.kept)
        if self.skip_first:
            counted[0] = False
        return counted


class Dress:
    """Makes rows of one call's texts."""

    def __init__(self, side: Side, texts: Texts) -> None:
        self._side = side
        self._texts = texts

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input, which keeps which of its tokens count."""
        return [self._row(item, index) for index, item in enumerate(self._texts.encode(inputs, first), first)]

    def _row(self, item: Encoded, index: int) -> Prepared:
        side, ids = self._side, item.ids
        if side.prefix_id is not None:
            ids = np.insert(ids, side.tokenizer.leading, side.prefix_id).astype(np.int32)
        counted = side.counts(ids)
        attended = None
        if side.expansion is not None and len(ids) < side.expansion.length:
            attended = None if side.expansion.attend else len(ids)
            more = side.expansion.length - len(ids)
            ids = np.concatenate([ids, np.full(more, side.filler, np.int32)])
            counted = np.concatenate([counted, np.ones(more, np.bool_)])
        return Prepared(Row(ids, attended=attended, outputs=("multi",)), index, item.truncated, counted)


class MultiCall:
    """One call that embeds."""

    def __init__(self, inputs: Sequence[Input], dress: Dress, *, normalize: bool) -> None:
        self.inputs = inputs
        self.prepare = dress.prepare
        self._normalize = normalize

    def finish(self, done: Done) -> MultiEmbeddings:
        """The vectors of the tokens that count."""
        vectors = counted_vectors(done, normalize=self._normalize)
        return MultiEmbeddings(
            vectors=tuple(vectors), tokens=done.tokens, truncated=done.truncated, timings=done.timings
        )


class MaxSimCall:
    """One call that ranks: the query is its first input."""

    def __init__(self, query: str, texts: Sequence[str], sides: Sequence[Dress], *, normalize: bool) -> None:
        self.inputs = [query, *texts]
        self._query, self._documents = sides
        self._normalize = normalize

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """Rows of the query's side, then of the documents'."""
        queries: list[Prepared] = []
        if first == 0:
            with blamed(("input 0", "the query"), param="query"):
                queries = self._query.prepare(inputs[:1], 0)
        return [*queries, *self._documents.prepare(inputs[len(queries) :], first + len(queries) - 1)]

    def finish(self, done: Done) -> Scores:
        """A score for each text, in the order given; a text without vectors scores 0."""
        query, *texts = counted_vectors(done, normalize=self._normalize)
        scores = [max_sim(query, vectors) for vectors in texts]
        return Scores(
            scores=np.array(scores, np.float32),
            tokens=done.tokens[1:],
            query_tokens=done.tokens[0],
            truncated=done.truncated[1:],
            timings=done.timings,
        )


def max_sim(query: Vectors, document: Vectors) -> float:
    """The sum over the query's vectors of their largest product with one of the document's."""
    return float((query @ document.T).max(axis=1).sum()) if len(document) else 0.0


def counted_vectors(done: Done, *, normalize: bool) -> list[Vectors]:
    """For each row the vectors of the tokens that count."""
    rows = zip(done.prepared, done.outputs["multi"], strict=True)
    kept = [vectors[each.kept] for each, vectors in rows]
    return [normalized(vectors) for vectors in kept] if normalize else kept


def _ceiling(length: int | None, expansion: Expansion | None) -> int | None:
    """The most tokens of a text: a fixed expansion cuts, another one only raises what is lower."""
    if expansion is None:
        return length
    if expansion.fixed:
        return expansion.length
    return None if length is None else max(length, expansion.length)


def _prefix_id(tokenizer: Tokenizer, prefix: str) -> int | None:
    """The token that a prefix is: as it stands, or its first word; None where it has to be text."""
    words = prefix.split()
    known = (tokenizer.token_id(form) for form in (prefix, words[0] if words else ""))
    return next((found for found in known if found is not None), None) if prefix else None


def _filler(tokenizer: Tokenizer, expansion: Expansion) -> int:
    names = (expansion.token,) if expansion.token else _MASKS
    found = next((i for name in names if (i := tokenizer.token_id(name)) is not None), None)
    if found is None:
        msg = f"the model expands queries with {' or '.join(names)}, but its tokenizer.json has no such token"
        raise ModelBroken(msg)
    return found
