"""Parts texts into chunks of tokens, each with the place that it has in its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Located, Tokenizer
from textmill.contract import Chunking
from textmill.errors import InvalidInput

MOST_CHUNKS = 10_000
"""Chunks of one text: what a book has in sentences, and few enough that no server is held up by one text."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A chunk as a row's ids, prompt and special tokens included: tokens ``first`` up to ``last`` of its text.

    They are the text's characters ``start`` up to ``end``.
    """

    ids: npt.NDArray[np.int32]
    first: int
    last: int
    start: int
    end: int


class Chunker:
    """Parts texts as one call's options say; each chunk gets the prompt and the special tokens.

    Raises InvalidInput for a window that has no room for text, or that the model does not take, and for an overlap as long
    as the room.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: str, max_tokens: int, chunking: Chunking) -> None:
        self._tokenizer = tokenizer
        self._prompt = tokenizer.locate(prompt, 0).ids if prompt else np.zeros(0, np.int32)
        around = tokenizer.specials + len(self._prompt)
        window = max_tokens if chunking.window is None else chunking.window
        if not around < window <= max_tokens:
            msg = f"a chunk's window is {window} tokens; this model takes {around + 1} to {max_tokens} with its special tokens and prompt"
            raise InvalidInput(msg, param="window")
        self._room = window - around
        self.most_room = max_tokens - around
        """Tokens of text in the longest window that the model takes."""
        if not 0 <= chunking.overlap < self._room:
            msg = f"chunks overlap by {chunking.overlap} tokens; with a window of {window} they can by 0 to {self._room - 1}"
            raise InvalidInput(msg, param="overlap")
        self._step = self._room - chunking.overlap

    @property
    def before(self) -> int:
        """How many ids of a piece stand before those of the text."""
        return self._tokenizer.leading + len(self._prompt)

    def pieces(self, text: str, index: int) -> list[Piece]:
        """The chunks of a text, at least one; ``index`` is the input's, for messages."""
        return self.parted(self._tokenizer.locate(text, index), index)

    def parted(self, located: Located, index: int) -> list[Piece]:
        """The chunks of a text whose tokens are known."""
        count = len(located.ids)
        return [self._piece(located, first, min(first + self._room, count)) for first in self.firsts(located, index)]

    def firsts(self, located: Located, index: int) -> range:
        """The first token of each chunk; raises InvalidInput for too many chunks."""
        found = range(0, max(1, len(located.ids) - self._room + self._step), self._step)
        if len(found) > MOST_CHUNKS:
            msg = (
                f"input {index} has {len(found)} chunks; at most {MOST_CHUNKS} are made of one: "
                "take a longer window or less overlap, or part the text"
            )
            raise InvalidInput(msg, param="window", index=index)
        return found

    def _piece(self, located: Located, first: int, last: int) -> Piece:
        body = np.concatenate([self._prompt, located.ids[first:last]])
        start = int(located.starts[first]) if first < last else 0
        end = int(located.ends[last - 1]) if first < last else 0
        return Piece(self._tokenizer.dress(body), first, last, start, end)
