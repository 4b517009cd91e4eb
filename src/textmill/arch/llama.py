"""Llama: Touvron et al., 2023, arXiv:2302.13971; also turned bidirectional (NV-Embed's line, `llama_bidirec`)."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Llama's keys; all are those that decoders share."""

    model_type: str = "llama"

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return DecoderConfig.causal.__get__(self) and self.model_type != "llama_bidirec"
