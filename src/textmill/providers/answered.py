"""What servers elsewhere told as arrays: vectors, scores, and tokens, or an error that says what is wrong with them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.errors import ForwardFailed
from textmill.providers.openai_fields import Odd

Floats = npt.NDArray[np.float32]


def vectors_of(told: Sequence[Any], server: str) -> Floats:
    """The vectors (inputs, width). Raises ForwardFailed where one is none, or of another length."""
    try:
        vectors = np.stack([_vector(each) for each in told])
    except Odd as odd:
        msg = f"{server} {odd}"
        raise ForwardFailed(msg) from None
    except (ValueError, OverflowError):
        vectors = np.empty((0, 0), np.float32)
    if not vectors.size or not np.isfinite(vectors).all():
        msg = f"{server} gave vectors in its data that are missing, of several lengths, or no numbers"
        raise ForwardFailed(msg)
    return vectors


def _vector(told: Any) -> Floats:
    """One vector; raises Odd for what has other things than numbers, ValueError for what is no vector otherwise."""
    if isinstance(told, str):
        return np.frombuffer(base64.b64decode(told, validate=True), "<f4").astype(np.float32)
    vector = np.asarray(told if isinstance(told, list) else None)
    if vector.ndim != 1 or vector.dtype.kind not in "iuf":
        raise Odd(name="embedding", wanted="a list of numbers, or base64 of them", value=told)
    with np.errstate(over="ignore"):  # what is too large is infinite, which is refused
        return vector.astype(np.float32)


def scores_of(told: Sequence[float], server: str) -> Floats:
    """The scores (texts). Raises ForwardFailed for a number that float32 does not hold."""
    with np.errstate(over="ignore"):  # as in a vector
        scores = np.asarray(told, np.float64).astype(np.float32)
    if not np.isfinite(scores).all():
        msg = f"{server} did not give one score in results for each of {len(told)} texts"
        raise ForwardFailed(msg)
    return scores


def shares(total: int, inputs: int) -> tuple[int, ...]:
    """The tokens of each input: servers tell their sum only."""
    share, rest = divmod(total, inputs)
    return tuple(share + (index < rest) for index in range(inputs))
