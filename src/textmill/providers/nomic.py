"""Nomic Atlas's own protocol for embeddings, with a type of task."""

from __future__ import annotations

from typing import Any

from textmill.providers.embeds_only import EmbedsOnly
from textmill.providers.openai_embedding import every, tokens_of
from textmill.providers.openai_fields import items, object_of
from textmill.providers.remote_dialect import EmbedPiece, Request, Told


class Nomic(EmbedsOnly):
    """POST ``/embedding/text`` (docs.nomic.ai). The service cuts texts that are too long and cannot refuse them."""

    def embed(self, piece: EmbedPiece) -> Request:
        """Texts with the model and their task."""
        body = {"model": piece.model, piece.input_field or "texts": piece.inputs, "long_text_mode": "truncate"}
        return Request("/embedding/text", {**body, **piece.fields})

    def vectors(self, answer: Any, inputs: int) -> Told:
        """Those in ``embeddings``, in the order of the texts."""
        told = object_of(answer)
        return Told(every(items(told, "embeddings"), inputs, "embeddings"), tokens_of(told))
