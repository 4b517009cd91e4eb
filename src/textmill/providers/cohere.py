"""Cohere's own protocol, its second version: embeddings by type of input, and ranking."""

from __future__ import annotations

from typing import Any

from textmill.contract import Scoring
from textmill.providers.openai_embedding import every, scores_in
from textmill.providers.openai_fields import count, items, object_of, table, tables
from textmill.providers.remote_dialect import EmbedPiece, RankPiece, Request, Told


class Cohere:
    """POST ``/v2/embed`` and ``/v2/rerank`` (docs.cohere.com)."""

    takes_ids = False
    scorings: tuple[Scoring, ...] = ()

    def embed(self, piece: EmbedPiece) -> Request:
        """Texts with the model and their type; ``truncate`` is NONE where texts that are too long are to be refused."""
        body = {"model": piece.model, piece.input_field or "texts": piece.inputs, "embedding_types": ["float"]}
        return Request("/v2/embed", {**body, "truncate": "END" if piece.truncate else "NONE", **piece.fields})

    def vectors(self, answer: Any, inputs: int) -> Told:
        """Those in ``embeddings.float``, in the order of the texts; servers of the first version give a bare list."""
        told = object_of(answer)
        bare = isinstance(told.get("embeddings"), list)
        found = items(told, "embeddings") if bare else items(table(told, "embeddings"), "float")
        return Told(
            every(found, inputs, "embeddings"), count(table(table(told, "meta"), "billed_units"), "input_tokens")
        )

    def rank(self, piece: RankPiece) -> Request:
        """All texts are to come back."""
        body = {"model": piece.model, "query": piece.query, "documents": list(piece.texts), "top_n": len(piece.texts)}
        return Request("/v2/rerank", body)

    def scores(self, answer: Any, texts: int) -> Told:
        """Those in ``results`` by their numbers. The service counts searches for them and no tokens."""
        return Told(scores_in(tables(object_of(answer), "results"), texts, "results"))
