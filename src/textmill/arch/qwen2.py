"""Qwen2: Yang et al., 2024, arXiv:2407.10671; also GTE-Qwen2, which sees in both directions."""

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
    """Qwen2's defaults; the window counts only where ``use_sliding_window`` says so, in layers from ``max_window_layers`` on."""

    vocab_size: int = 151936
    intermediate_size: int = 22016
    num_key_value_heads: int | None = 32
    max_position_embeddings: int = 32768
    sliding_window: int | None = 4096
    use_sliding_window: bool = False
    max_window_layers: int = 28

    @property
    def kinds(self) -> list[Any]:
        """The kind of attention in each layer."""
        if self.layer_types is not None:
            return self.layer_types
        full = self.max_window_layers if self.use_sliding_window and self.sliding_window is not None else None
        kinds = range(self.num_hidden_layers)
        return ["full_attention" if full is None or index < full else "sliding_attention" for index in kinds]
