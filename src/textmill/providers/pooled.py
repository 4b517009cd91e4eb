"""What a backend's Embedding gave becomes one vector, or an error: never an answer without one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmill.errors import ForwardFailed, InvalidInput
from textmill.providers.messages import FINAL, PER_TOKEN, Vectors
from textmill.tasks.norms import EUCLID, NONE, scaled
from textmill.tasks.states import StatePooling

Floats = npt.NDArray[np.float32]

_MEAN = StatePooling("mean", 1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How vectors are to be made.

    ``pooling`` of tokens' vectors is None where the call does not say: then their mean. ``norm`` is None where nobody says: a backend's
    own vectors stay as they are then, and those that are pooled here, or cut to ``dimensions``, get length one.
    """

    pooling: StatePooling | None = None
    norm: int | None = None
    dimensions: int | None = None


def vector_of(made: Vectors, wanted: Wanted, width: int | None, backend: str) -> Floats:
    """The vector (dimensions,) of one input; ``width`` is the model's own, None where it is not known yet.

    Raises ForwardFailed for none, for another width, and for values that are no numbers; InvalidInput for a pooling that needs the
    vectors of tokens where the backend gives a single one.
    """
    if not made.values.size:
        msg = f"the backend {backend} gave no vector"
        raise ForwardFailed(msg)
    if not np.isfinite(made.values).all():
        msg = f"the backend {backend} gave a vector with values that are no numbers"
        raise ForwardFailed(msg)
    pooled = made.layout == PER_TOKEN
    vector = (wanted.pooling or _MEAN).pool(_states(made, backend)) if pooled else _final(made, wanted, backend)
    if width is not None and len(vector) != width:
        msg = f"the backend {backend} gave a vector of {len(vector)} values, but its model's have {width}"
        raise ForwardFailed(msg)
    cut = wanted.dimensions is not None and wanted.dimensions < len(vector)
    norm = wanted.norm if wanted.norm is not None else EUCLID if pooled or cut else NONE
    return np.asarray(scaled(vector[None, : wanted.dimensions], norm)[0], np.float32)


def _states(made: Vectors, backend: str) -> Floats:
    if made.tokens < 1 or made.dim < 1 or made.tokens * made.dim != made.values.size:
        msg = f"the backend {backend} gave {made.values.size} values and says that they are {made.tokens} vectors of {made.dim}"
        raise ForwardFailed(msg)
    states: Floats = made.values.reshape(made.tokens, made.dim)
    return states


def _final(made: Vectors, wanted: Wanted, backend: str) -> Floats:
    if wanted.pooling is not None:
        said = "gives one vector for an input" if made.layout == FINAL else "does not say that it gives those of tokens"
        msg = (
            f"pooling by {wanted.pooling.mode!r} needs the vectors of tokens, and the backend {backend} {said}; for llama.cpp, "
            "add pooling:none to the options in the model file"
        )
        raise InvalidInput(msg, param="pooling")
    if made.dim and made.dim != made.values.size:
        msg = f"the backend {backend} gave {made.values.size} values and says that a vector has {made.dim}"
        raise ForwardFailed(msg)
    return made.values
