"""The memory that a model will take in llama.cpp, estimated before it loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textmill.folder.model import ModelFile
from textmill.providers.llamacpp.settings import Settings

BESIDE = 96 * 10**6
"""Bytes of the process itself, its tables and what it computes in."""
_BYTES = {"F32": 4.0, "F16": 2.0, "BF16": 2.0, "Q8_0": 34 / 32, "Q5_0": 22 / 32, "Q5_1": 24 / 32}
_BYTES |= {"Q4_0": 18 / 32, "Q4_1": 20 / 32, "IQ4_NL": 18 / 32}
"""Bytes of a number in the cache, by ggml's types: blocks of 32 with their scales."""


def need_of(file: ModelFile, settings: Settings, weights: int) -> int:
    """The bytes of a model whose files have so many bytes of ``weights``: these, and the cache of keys and values.

    llama.cpp allocates the cache for the whole context when it loads. 0 where the weights are not known.
    """
    gguf = file.facts.gguf if file.facts is not None else None
    if not weights:
        return 0
    if gguf is None:
        return weights + BESIDE
    kinds = {"cache_type_k": settings.cache_type_k, "cache_type_v": settings.cache_type_v}
    return weights + cache_bytes(gguf.cached, settings.context or gguf.context, kinds) + BESIDE


def cache_bytes(cached: int, tokens: int, kinds: Mapping[str, Any]) -> int:
    """The bytes of the cache of keys and values of so many tokens, with ``cached`` numbers for each; ``kinds`` has their types."""
    each = (_bytes(kinds.get("cache_type_k", "")) + _bytes(kinds.get("cache_type_v", ""))) / 2
    return int(tokens * cached * each)


def _bytes(kind: str) -> float:
    return _BYTES.get(kind.removeprefix("GGML_TYPE_"), 2.0)
