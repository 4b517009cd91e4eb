"""Embedding models of textmill for LlamaIndex: in the process, and from a server."""

from llama_index.embeddings.textmill.embedding import TextmillEmbedding
from llama_index.embeddings.textmill.server import TextmillServerEmbedding

__all__ = ["TextmillEmbedding", "TextmillServerEmbedding"]
