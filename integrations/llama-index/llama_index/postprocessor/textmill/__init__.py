"""Reranking by textmill for LlamaIndex."""

from llama_index.postprocessor.textmill.rerank import TextmillRerank

__all__ = ["TextmillRerank"]
