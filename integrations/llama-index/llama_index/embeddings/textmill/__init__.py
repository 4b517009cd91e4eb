"""Embedding models of textmill for LlamaIndex."""
