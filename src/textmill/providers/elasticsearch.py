"""Elasticsearch's trained models: texts as documents, of which each gets a vector."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from textmill.providers.embeds_only import EmbedsOnly
from textmill.providers.openai_embedding import every
from textmill.providers.openai_fields import object_of, tables
from textmill.providers.remote_dialect import EmbedPiece, Request, Told


class Elasticsearch(EmbedsOnly):
    """POST ``/_ml/trained_models/MODEL/_infer`` (the API "Infer trained model")."""

    def embed(self, piece: EmbedPiece) -> Request:
        """A document for each text, which stands in the field that the model was deployed with."""
        docs = [{piece.input_field or "text_field": text} for text in piece.inputs]
        return Request(f"/_ml/trained_models/{quote(piece.model, safe='')}/_infer", {"docs": docs, **piece.fields})

    def vectors(self, answer: Any, inputs: int) -> Told:
        """Those in ``inference_results``, in the order of the documents; the server counts no tokens."""
        found = every(tables(object_of(answer), "inference_results"), inputs, "inference_results")
        return Told([each.get("predicted_value") for each in found])
