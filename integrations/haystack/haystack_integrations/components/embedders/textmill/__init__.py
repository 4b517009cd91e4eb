"""Haystack's embedders over textmill."""

from __future__ import annotations

from haystack_integrations.components.embedders.textmill.dense import TextmillDocumentEmbedder, TextmillTextEmbedder
from haystack_integrations.components.embedders.textmill.sparse import (
    TextmillSparseDocumentEmbedder,
    TextmillSparseTextEmbedder,
)

__all__ = [
    "TextmillDocumentEmbedder",
    "TextmillSparseDocumentEmbedder",
    "TextmillSparseTextEmbedder",
    "TextmillTextEmbedder",
]
