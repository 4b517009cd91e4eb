"""Vectors of sparse models with every value of the vocabulary, as TEI's Embed gives them where nothing is to be scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from textmill.contract import Embeddings, EmbedOptions, EmbedSparse, Input, ModelInfo, SparseOptions
from textmill.errors import InvalidInput, WrongTask

MOST_VALUES = 1 << 25
"""Numbers of one answer: some 400 MB of JSON."""


class Sparse(EmbedSparse, Protocol):
    """What is asked of the model."""

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        ...


def only_sparse(info: ModelInfo) -> bool:
    """Whether a model's only vectors are sparse."""
    return "embed_sparse" in info.tasks and "embed" not in info.tasks


def check_vocabulary(info: ModelInfo, inputs: int, options: EmbedOptions) -> None:
    """Raise WrongTask where vectors are to be scaled, InvalidInput for more values than there are or one answer may have."""
    if options.normalize is not False:
        msg = (
            f"{info.name} gives sparse vectors, which are not scaled; use /embed_sparse or EmbedSparse, or set normalize to "
            "false for vectors with every value of the vocabulary"
        )
        raise WrongTask(msg)
    if not 1 <= _width(info, options) <= info.vocabulary:
        msg = f"dimensions is {options.dimensions}; this model gives 1 to {info.vocabulary}"
        raise InvalidInput(msg, param="dimensions")
    if inputs * info.vocabulary > MOST_VALUES:
        msg = f"{inputs} vectors of {info.vocabulary} values are too many for one answer; use /embed_sparse or EmbedSparse"
        raise InvalidInput(msg, param="inputs")


async def embed_vocabulary(model: Sparse, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
    """The vectors (inputs, dimensions) as pooled; `check_vocabulary` comes first. Errors as `embed_sparse_inputs`."""
    how = SparseOptions(
        prompt=options.prompt,
        prompt_name=options.prompt_name,
        truncate=options.truncate,
        truncate_side=options.truncate_side,
    )
    made = await model.embed_sparse_inputs(inputs, how)
    vectors = np.zeros((len(made.vectors), made.size), np.float32)
    for row, vector in zip(vectors, made.vectors, strict=True):
        row[vector.indices] = vector.values
    return Embeddings(
        vectors=vectors[:, : _width(model.info, options)],
        tokens=made.tokens,
        truncated=made.truncated,
        timings=made.timings,
        cached=made.cached,
    )


def _width(info: ModelInfo, options: EmbedOptions) -> int:
    return info.vocabulary if options.dimensions is None else options.dimensions
