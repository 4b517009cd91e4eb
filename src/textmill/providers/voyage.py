"""Voyage's embeddings and ranking: nearly OpenAI's shape."""

from __future__ import annotations

from typing import Any

from textmill.providers.openai_embedding import OpenAIEmbedding, scores_in, tokens_of
from textmill.providers.openai_fields import object_of, tables
from textmill.providers.remote_dialect import EmbedPiece, RankPiece, Request, Told


class Voyage(OpenAIEmbedding):
    """As OpenAI, for texts only, with ``truncation``; ranking has ``top_k`` and answers in ``data``."""

    takes_ids = False

    def embed(self, piece: EmbedPiece) -> Request:
        """As OpenAI's, with ``truncation``."""
        made = super().embed(piece)
        return Request(made.path, {**made.body, "truncation": piece.truncate})

    def rank(self, piece: RankPiece) -> Request:
        """All texts are to come back, without their words."""
        body = {"model": piece.model, "query": piece.query, "documents": list(piece.texts), "top_k": len(piece.texts)}
        return Request("/rerank", {**body, "truncation": piece.truncate})

    def scores(self, answer: Any, texts: int) -> Told:
        """Those in ``data`` by their numbers."""
        told = object_of(answer)
        return Told(scores_in(tables(told, "data"), texts, "data"), tokens_of(told))
