"""A sparse model whose queries are embedded in another way than its documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

from textmill.testing.heads import tiny_splade


def sided_splade(folder: Path) -> Any:
    """Saves one in ``folder``, whose queries are a weight for each token; sentence-transformers' own class over it."""
    whole = SparseEncoder(str(tiny_splade(folder / "whole")), device="cpu")
    weights = torch.rand(len(whole.tokenizer.get_vocab()), generator=torch.Generator().manual_seed(1))
    queries = [SparseStaticEmbedding(tokenizer=whole.tokenizer, weight=weights)]
    router = Router.for_query_document(query_modules=queries, document_modules=list(whole))
    made = SparseEncoder(modules=[router], device="cpu")
    made.save(str(folder / "sided"))
    return made
