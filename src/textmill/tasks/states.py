"""One vector from the states of an input's tokens, in a way that the caller chooses and not the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from textmill.contract import EmbedDefaults, EmbedOptions
from textmill.errors import InvalidInput

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StatePooling:
    """How states become one vector. ``half_life`` is in tokens, for ``decayed_mean`` only."""

    mode: Literal["mean", "last", "decayed_mean"]
    half_life: int

    def pool(self, states: Floats) -> Floats:
        """(tokens, features) to (features,).

        In a decayed mean a state counts half as much as one that stands ``half_life`` tokens nearer to the end.
        """
        if self.mode == "last":
            last: Floats = states[-1]
            return last
        if self.mode == "mean":
            return np.asarray(states.mean(axis=0, dtype=np.float64), np.float32)
        weights = np.exp2(-np.arange(len(states) - 1, -1, -1, dtype=np.float64) / self.half_life)
        return np.asarray(weights @ states / weights.sum(), np.float32)


def state_pooling(options: EmbedOptions, defaults: EmbedDefaults) -> StatePooling | None:
    """How a call pools states by itself; None where the model does it.

    Raises InvalidInput for a half-life that nothing has, or below 1, and for chunks, whose vectors only a mean could join.
    """
    mode = options.pooling or defaults.pooling
    if options.half_life is not None and (mode != "decayed_mean" or options.half_life < 1):
        why = "goes with pooling 'decayed_mean' only" if options.half_life >= 1 else "must be at least 1"
        msg = f"the half-life of {options.half_life} tokens {why}"
        raise InvalidInput(msg, param="half_life")
    if mode == "own":
        return None
    if options.chunking is not None:
        msg = f"texts are parted into chunks with the model's own pooling only, not with {mode!r}"
        raise InvalidInput(msg, param="pooling")
    return StatePooling(mode, options.half_life or defaults.half_life)
