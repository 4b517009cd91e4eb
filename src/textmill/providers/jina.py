"""Jina's embeddings and ranking: OpenAI's shape, with a task for roles and a switch for cutting."""

from __future__ import annotations

from textmill.providers.openai_embedding import OpenAIEmbedding
from textmill.providers.remote_dialect import EmbedPiece, Request


class Jina(OpenAIEmbedding):
    """As OpenAI, for texts only. The service refuses texts that are too long unless it is told to cut them."""

    takes_ids = False

    def embed(self, piece: EmbedPiece) -> Request:
        """As OpenAI's, with ``truncate``."""
        made = super().embed(piece)
        return Request(made.path, {**made.body, "truncate": piece.truncate})
