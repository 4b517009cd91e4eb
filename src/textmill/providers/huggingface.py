"""Hugging Face's router: the pipeline for features of hf-inference, whose models are named in the path."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from textmill.providers.embeds_only import EmbedsOnly
from textmill.providers.openai_embedding import every
from textmill.providers.openai_fields import Unfit
from textmill.providers.remote_dialect import EmbedPiece, Request, Told


class HuggingFace(EmbedsOnly):
    """POST ``/hf-inference/models/MODEL/pipeline/feature-extraction`` beside ``/v1``, below which conversations go."""

    def embed(self, piece: EmbedPiece) -> Request:
        """Texts as ``inputs``."""
        path = f"/hf-inference/models/{quote(piece.model)}/pipeline/feature-extraction"
        return Request(
            path, {piece.input_field or "inputs": piece.inputs, "truncate": piece.truncate, **piece.fields}, beside=True
        )

    def vectors(self, answer: Any, inputs: int) -> Told:
        """A bare list, in the order of the texts. Models that do not pool give a vector for each token, which are none of a text."""
        if not isinstance(answer, list):
            msg = "gave an answer that cannot be read: it must be a list of vectors"
            raise Unfit(msg)
        if answer and isinstance(answer[0], list) and answer[0] and isinstance(answer[0][0], list):
            msg = "gave vectors of tokens in its list; take a model of sentence-transformers, which pools them"
            raise Unfit(msg)
        return Told(every(answer, inputs, "its list"))
