"""Embedding from token states, which are pooled here: in parts, so that the states of many texts never stand in memory at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np

from textmill.contract import Embeddings, EmbedOptions, Input, Timings
from textmill.tasks.embed import EmbedCall, Embedder
from textmill.tasks.line import Done, Line, Prepared

MOST_STATES = 1 << 25
"""Values of token states at once: 128 MB."""
_SPECIAL = 2


async def embed_pooled(
    line: Line, embedder: Embedder, inputs: Sequence[Input], options: EmbedOptions, most: int, max_tokens: int
) -> Embeddings:
    """The vectors of inputs whose states are pooled outside the model, about ``most`` at once. Raises as `embed_inputs`."""
    embedder.call(inputs, options)  # refused before anything is computed
    made = [
        await line.answer(_Part(embedder.call(inputs[first:end], options), first))
        for first, end in parts(inputs, most, max_tokens)
    ]
    return made[0] if len(made) == 1 else _joined(made)


def parts(inputs: Sequence[Input], most: int, max_tokens: int) -> Iterator[tuple[int, int]]:
    """From where to where each part of the inputs goes; one has at most that many tokens, as far as can be told, or one input."""
    first = tokens = 0
    for index, item in enumerate(inputs):
        own = min(max_tokens, len(item) + _SPECIAL)  # a character may be a token
        if index > first and tokens + own > most:
            yield first, index
            first, tokens = index, 0
        tokens += own
    yield first, len(inputs)


class _Part:
    """A call for some of the inputs, whose errors count from the first of all."""

    def __init__(self, call: EmbedCall, first: int) -> None:
        self.inputs = call.inputs
        self._call = call
        self._first = first

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """The call's rows."""
        return self._call.prepare(inputs, self._first + first)

    def finish(self, done: Done) -> Embeddings:
        """The call's answer."""
        return self._call.finish(done)


def _joined(made: Sequence[Embeddings]) -> Embeddings:
    shares = [len(each.tokens) / sum(len(one.tokens) for one in made) for each in made]
    return Embeddings(
        vectors=np.concatenate([each.vectors for each in made]),
        tokens=tuple(count for each in made for count in each.tokens),
        truncated=tuple(cut for each in made for cut in each.truncated),
        timings=Timings(
            *(
                sum(share * getattr(each.timings, field.name) for share, each in zip(shares, made, strict=True))
                for field in fields(Timings)
            )
        ),
    )
