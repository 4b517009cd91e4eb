"""A model whose graph comes in a file of its own: what its config.json says without an architecture of ours to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textmill.arch.heads import Head
from textmill.errors import ModelBroken

_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
_VOCABULARIES = ("vocab_size",)


@dataclass(frozen=True, slots=True)
class Config:
    """The few facts that tasks need of any model: ``positions`` is None, since a file's graph does not say."""

    vocab_size: int
    hidden_size: int
    positions: int | None = None


def read_config(config: Mapping[str, Any]) -> Config:
    """Find the facts under the names that families give them; raises ModelBroken where none is there."""
    return Config(_first(config, _VOCABULARIES), _first(config, _WIDTHS))


def classifier(_config: Config) -> tuple[Head, ...]:
    """Nothing: the file's graph ends in the scores."""
    return ()


token_classifier = language_model = classifier


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    msg = f"config.json lacks {' or '.join(keys)}, a whole number above zero"
    raise ModelBroken(msg)
