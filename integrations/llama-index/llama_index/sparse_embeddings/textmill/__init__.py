"""Sparse embeddings of textmill for LlamaIndex."""

from llama_index.sparse_embeddings.textmill.sparse import TextmillSparseEmbedding

__all__ = ["TextmillSparseEmbedding"]
