"""sentence-transformers' classes over textmill, for code that changes one import.

    from textmill.compat import CrossEncoder, SentenceTransformer, SparseEncoder

They have that library's verbs, keywords and results, without PyTorch; docs/sentence-transformers.md says where they differ.
"""

from __future__ import annotations

from textmill.compat.cross_encoder import CrossEncoder
from textmill.compat.sentence_transformer import SentenceTransformer
from textmill.compat.sparse_encoder import SparseEncoder

__all__ = ["CrossEncoder", "SentenceTransformer", "SparseEncoder"]
