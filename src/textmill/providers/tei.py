"""Text Embeddings Inference: embeddings by its route of OpenAI's protocol, ranking by its own."""

from __future__ import annotations

from typing import Any

from textmill.providers.openai_embedding import OpenAIEmbedding, scores_in
from textmill.providers.openai_fields import objects_of
from textmill.providers.remote_dialect import RankPiece, Request, Told


class Tei(OpenAIEmbedding):
    """The base URL ends in ``/v1``; ranking is beside that."""

    def rank(self, piece: RankPiece) -> Request:
        """Texts with a query; the server has one model, which has no name there."""
        body = {"query": piece.query, "texts": list(piece.texts), "truncate": piece.truncate}
        return Request("/rerank", body, beside=True)

    def scores(self, answer: Any, texts: int) -> Told:
        """Those of a list by their numbers."""
        return Told(scores_in(objects_of(answer), texts, "its list"))
