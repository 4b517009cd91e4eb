"""Text Embeddings Inference: embeddings by its route of OpenAI's protocol, which cannot refuse long texts, else by its own."""

from __future__ import annotations

from typing import Any

from textmill.contract import Scoring
from textmill.providers.openai_embedding import OpenAIEmbedding, every, scores_in
from textmill.providers.openai_fields import objects_of
from textmill.providers.remote_dialect import EmbedPiece, RankPiece, Request, Told


class Tei(OpenAIEmbedding):
    """The base URL ends in ``/v1``; its own routes are beside that.

    A server of TEI has one model, and passes over the name on these routes; textmill and gateways choose by it.
    """

    scorings: tuple[Scoring, ...] = ("sigmoid", "raw")

    def embed(self, piece: EmbedPiece) -> Request:
        """As OpenAI's, or by ``/embed`` where texts that are too long are to be refused: OpenAI's has no word for that."""
        if piece.truncate:
            return super().embed(piece)
        body = {"model": piece.model, "inputs": piece.inputs, "truncate": False, "normalize": True}
        return Request("/embed", {**body, **piece.fields}, beside=True)

    def vectors(self, answer: Any, inputs: int) -> Told:
        """OpenAI's, or a bare list, without the tokens."""
        if isinstance(answer, list):
            return Told(every(answer, inputs, "its list"))
        return super().vectors(answer, inputs)

    def rank(self, piece: RankPiece) -> Request:
        """Texts with a query."""
        body = {"query": piece.query, "texts": list(piece.texts), "truncate": piece.truncate, "raw_scores": piece.raw}
        return Request("/rerank", {"model": piece.model, **body}, beside=True)

    def scores(self, answer: Any, texts: int) -> Told:
        """Those of a list by their numbers."""
        return Told(scores_in(objects_of(answer), texts, "its list"))
