"""Jina's `late_chunking`: the inputs of a request are the chunks of one document, and each is embedded in its light."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from textmill.contract import ChunkOptions, Embeddings, EmbedOptions, Input
from textmill.errors import InvalidInput
from textmill.http.failures import told_of
from textmill.http.service import Model, Service
from textmill.tasks.chunker import MOST_CHUNKS

_FIELD = "late_chunking"


async def embed_late(service: Service, model: Model, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
    """A vector for each input, pooled from the states of all of them as one text; ``tokens`` counts that text's.

    A space is put between two inputs where neither has one. A document longer than the model takes runs in overlapping windows.
    Raises InvalidInput for ids, for inputs without a word, for too many, and for options that do not go with it; WrongTask.
    """
    texts = _texts(inputs)
    _check(options)
    pieces, spans = _joined(texts)
    how = ChunkOptions(
        prompt=options.prompt,
        prompt_name=options.prompt_name,
        kind=options.kind,
        dimensions=options.dimensions,
        normalize=options.normalize,
        late=True,
        spans=[spans],
    )
    with told_of({"late": _FIELD}):
        made = await service.compute(model, model.embed_chunks_inputs, ["".join(pieces)], how)
    vectors = np.stack([chunk.vector for chunk in made.chunks[0]])
    return Embeddings(vectors=vectors, tokens=made.tokens, truncated=(False,) * len(texts), timings=made.timings)


def _check(options: EmbedOptions) -> None:
    """Raise InvalidInput for what contradicts late chunking."""
    if options.chunking is not None or options.pooling is not None:
        what = "on_overflow 'chunk'" if options.chunking is not None else "another pooling"
        msg = f"late_chunking does not go with {what}; leave one of them out"
        raise InvalidInput(msg, param=_FIELD)


def _texts(inputs: Sequence[Input]) -> list[str]:
    """The inputs as texts with at least one sign each."""
    if len(inputs) > MOST_CHUNKS:
        msg = (
            f"'input' has {len(inputs)} texts; with late_chunking a document has at most {MOST_CHUNKS} chunks: part it"
        )
        raise InvalidInput(msg, param="input")
    texts = []
    for index, item in enumerate(inputs):
        if not isinstance(item, str):
            msg = f"input[{index}] is a list of token ids; late_chunking takes texts"
            raise InvalidInput(msg, param="input", index=index)
        if not item.strip():
            msg = f"input[{index}] has no word in it; with late_chunking each input is a chunk of the document and needs some"
            raise InvalidInput(msg, param="input", index=index)
        texts.append(item)
    return texts


def _joined(texts: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """The document in pieces, and where each text stands in it, in characters: words of two chunks must not run into one."""
    gaps = ["" if before[-1].isspace() or behind[0].isspace() else " " for before, behind in pairwise(texts)]
    pieces = [piece for pair in zip(texts, [*gaps, ""], strict=True) for piece in pair]
    starts = [0, *accumulate(map(len, pieces))][::2]
    return pieces, [(start, start + len(text)) for start, text in zip(starts, texts, strict=False)]
