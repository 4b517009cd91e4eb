"""sentence-transformers' classes over textmill, for code that changes one import.

    from textmill.compat import CrossEncoder, SentenceTransformer, SparseEncoder

They have that library's verbs, keywords and results, without PyTorch; docs/sentence-transformers.md says where they differ. For
integrations that take its keywords there is what they mean to textmill: `load_options`, `load_nearest`, `embed_options`, `full_name`, `quantize_embeddings`,
`compare`, `sentence_transformers_home`; `log_prompt` says once what stands in front of texts.
"""

from __future__ import annotations

from textmill.compat.arguments import LoadOptions, embed_options, load_nearest, load_options, nearest_dtype
from textmill.compat.cross_encoder import CrossEncoder
from textmill.compat.names import Organisation, full_name
from textmill.compat.prompts import log_prompt
from textmill.compat.quantization import Precision, quantize_embeddings
from textmill.compat.sentence_transformer import SentenceTransformer
from textmill.compat.similarity import compare
from textmill.compat.sparse_encoder import SparseEncoder
from textmill.config import sentence_transformers_home

__all__ = [
    "CrossEncoder",
    "LoadOptions",
    "Organisation",
    "Precision",
    "SentenceTransformer",
    "SparseEncoder",
    "compare",
    "embed_options",
    "full_name",
    "load_nearest",
    "load_options",
    "log_prompt",
    "nearest_dtype",
    "quantize_embeddings",
    "sentence_transformers_home",
]
