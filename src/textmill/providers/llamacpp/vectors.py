"""What llama.cpp's routes give become vectors and scores, or an error: never an answer without one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.errors import ForwardFailed
from textmill.tasks.norms import scaled

Floats = npt.NDArray[np.float32]


def vector_of(made: Mapping[str, Any], width: int) -> tuple[Floats, int]:
    """The vector (features,) of an answer to one input, and the input's tokens; ``width`` 0 is any."""
    try:
        [row] = made["data"]
        vector = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
        tokens = int(made["usage"]["prompt_tokens"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        msg = "llama.cpp gave no vector"
        raise ForwardFailed(msg) from error
    if not vector.size or (width and len(vector) != width) or not np.isfinite(vector).all():
        msg = f"llama.cpp gave a vector of {len(vector)} values in place of {width or 'any'}, or values that are no numbers"
        raise ForwardFailed(msg)
    return vector.astype(np.float32), tokens


def states_of(made: Any) -> Floats:
    """The vectors (tokens, features) of an answer to one input."""
    try:
        [row] = made
        states = np.asarray(row["embedding"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        msg = "llama.cpp gave no vectors of tokens"
        raise ForwardFailed(msg) from error
    if states.ndim != 2 or not states.size or not np.isfinite(states).all():  # noqa: PLR2004 - tokens and features
        msg = f"llama.cpp gave vectors of the shape {states.shape}, or values that are no numbers"
        raise ForwardFailed(msg)
    return states


def pooled(vectors: Sequence[Floats], norm: int, dimensions: int | None) -> Floats:
    """The vectors (inputs, dimensions), cut and then scaled."""
    return np.asarray(scaled(np.stack(vectors)[:, :dimensions], norm), np.float32)


def scores_of(made: Mapping[str, Any], texts: int) -> Floats:
    """A score for each text; raises ForwardFailed where one has none, or several, or no number."""
    scores = np.full(texts, np.nan, np.float32)
    try:
        for row in made["results"]:
            if not 0 <= row["index"] < texts or not np.isnan(scores[row["index"]]):
                msg = f"llama.cpp ranked a text {row['index']} of {texts}, which is none or was ranked before"
                raise ForwardFailed(msg)
            scores[row["index"]] = row["relevance_score"]
    except (KeyError, TypeError, ValueError) as error:
        msg = "llama.cpp gave no scores"
        raise ForwardFailed(msg) from error
    if not np.isfinite(scores).all():
        msg = f"llama.cpp gave scores for {np.isfinite(scores).sum()} of {texts} texts"
        raise ForwardFailed(msg)
    return scores
