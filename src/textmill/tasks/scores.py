"""Logits to scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from textmill.contract import Scoring

Floats = npt.NDArray[np.float32]


def softmax(logits: Floats) -> Floats:
    """Shares of one along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: Floats) -> Floats:
    """Each between 0 and 1, without overflow on either side."""
    small = np.exp(-np.abs(logits))
    scores: Floats = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def scored(logits: Floats, scoring: Scoring) -> Floats:
    """The scores of logits (rows, classes)."""
    if scoring == "raw":
        return logits
    return softmax(logits) if scoring == "softmax" else sigmoid(logits)
