"""Mistral: Jiang et al., 2023, arXiv:2310.06825. Llama's blocks, each token seeing a window of those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textmill.arch.decoder import (
    OPTIONAL,
    DecoderConfig,
    classifier,
    forward,
    language_model,
    sanitize,
    token_classifier,
)

__all__ = ["OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]


@dataclass(frozen=True, slots=True)
class Config(DecoderConfig):
    """Mistral's defaults; a ``sliding_window`` of null is none."""

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    max_position_embeddings: int = 4096 * 32
    sliding_window: int | None = 4096

    @property
    def kinds(self) -> list[Any]:
        """The kind of attention in each layer, all of them the same."""
        kind = "full_attention" if self.sliding_window is None else "sliding_attention"
        return [kind] * self.num_hidden_layers
