"""Gemini's own protocol for embeddings, in batches, with a type of task."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from textmill.providers.embeds_only import EmbedsOnly
from textmill.providers.openai_embedding import every
from textmill.providers.openai_fields import count, object_of, table, tables
from textmill.providers.remote_dialect import EmbedPiece, Request, Told


class Gemini(EmbedsOnly):
    """POST ``/models/MODEL:batchEmbedContents`` (ai.google.dev)."""

    def embed(self, piece: EmbedPiece) -> Request:
        """One request for each text, which all stand in one."""
        model = piece.model if "/" in piece.model else f"models/{piece.model}"
        each = [
            {"model": model, "content": {"parts": [{piece.input_field or "text": text}]}, **piece.fields}
            for text in piece.inputs
        ]
        return Request(f"/{quote(model)}:batchEmbedContents", {"requests": each})

    def vectors(self, answer: Any, inputs: int) -> Told:
        """Those in ``embeddings``, in the order of the texts."""
        told = object_of(answer)
        tokens = count(table(told, "usageMetadata"), "promptTokenCount")
        found = every(tables(told, "embeddings"), inputs, "embeddings")
        return Told([each.get("values") for each in found], tokens)
