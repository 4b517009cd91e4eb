"""LangChain's embeddings and document compressors over textmill."""

from __future__ import annotations

from langchain_textmill.embeddings import TextmillEmbeddings
from langchain_textmill.rerank import TextmillRerank
from langchain_textmill.server_embeddings import TextmillServerEmbeddings
from langchain_textmill.sparse_embeddings import SparseVector, TextmillSparseEmbeddings

__all__ = [
    "SparseVector",
    "TextmillEmbeddings",
    "TextmillRerank",
    "TextmillServerEmbeddings",
    "TextmillSparseEmbeddings",
]
