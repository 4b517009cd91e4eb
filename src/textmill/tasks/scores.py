"""Logits to scores."""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt

from textmill.contract import Scoring
from textmill.errors import InvalidInput

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


def check_scoring(scoring: Scoring | None) -> None:
    """Raise InvalidInput for a way to score that there is not."""
    if scoring is not None and scoring not in get_args(Scoring):
        msg = f"scoring is {scoring!r}; it must be one of {', '.join(get_args(Scoring))}"
        raise InvalidInput(msg, param="scoring")


def scored(logits: Floats, scoring: Scoring) -> Floats:
    """The scores of logits (rows, classes); `check_scoring` has seen to it that there is such a way."""
    if scoring == "raw":
        return logits
    return softmax(logits) if scoring == "softmax" else sigmoid(logits)
