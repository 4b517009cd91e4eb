"""Pairs of texts as rows: what the tokenizer puts around them, and which of the two is cut where they are too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Side
from textmill.errors import InvalidInput, ModelBroken

Cut = Literal["longest_first", "only_first", "only_second"]
"""Which text of a pair is cut. ``longest_first`` leaves the shorter one whole where that is enough, and else halves the room."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """A pair as int32 ``ids`` with special tokens; ``types`` are their segments, None where the model does not tell them apart."""

    ids: Ids
    types: Ids | None
    truncated: bool


class Pairs:
    """Joins texts that are tokenised one by one, so that a query is tokenised once for all its passages. Thread-safe.

    The ids and segments are those that the tokenizer's own rules give for the pair. Raises ModelBroken for a tokenizer
    whose special tokens leave no room.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, segments: bool) -> None:
        template = tokenizer.pair_template()
        self._specials = template.specials
        self._special_types = template.special_types
        self._types = template.types
        self._segments = segments and any(types.any() for types in (*template.special_types, np.array(template.types)))
        self.max_tokens = max_tokens
        self.room = max_tokens - sum(map(len, template.specials))
        """Tokens of both texts that a row has room for."""
        if self.room < 2:  # noqa: PLR2004 - a token of each text
            msg = f"the model takes {max_tokens} tokens, which leaves no room for a pair beside its special tokens"
            raise ModelBroken(msg)

    def join(self, first: Ids, second: Ids, cut: Cut, *, truncate: bool, side: Side, index: int) -> Paired:
        """The row of a pair, from both texts' ids without special tokens.

        Raises InvalidInput, naming the input ``index``, for a pair that is too long where it must not be cut, or where the text
        that must stay whole fills the model.
        """
        lengths = (len(first), len(second))
        total = sum(lengths)
        if total > self.room:
            if not truncate:
                msg = (
                    f"input {index} has {self.max_tokens - self.room + total} tokens, {lengths[0]} and {lengths[1]} of its two texts, "
                    f"but the model takes at most {self.max_tokens}; shorten them or allow truncation"
                )
                raise InvalidInput(msg, index=index)
            kept = _kept(lengths, self.room, cut, index)
            first, second = (_ends(ids, length, side) for ids, length in zip((first, second), kept, strict=True))
        before, between, after = self._specials
        ids = np.concatenate([before, first, between, second, after], dtype=np.int32)
        return Paired(ids, self._types_of(len(first), len(second)) if self._segments else None, total > self.room)

    def _types_of(self, first: int, second: int) -> Ids:
        before, between, after = self._special_types
        parts = [before, np.full(first, self._types[0]), between, np.full(second, self._types[1]), after]
        return np.concatenate(parts, dtype=np.int32)


def _kept(lengths: tuple[int, int], room: int, cut: Cut, index: int) -> tuple[int, int]:
    """How many tokens stay of each text, as the tokenizers library counts."""
    first, second = lengths
    if cut == "longest_first":
        short = min(lengths)
        if 2 * short > room:
            short = room // 2
        return (short, room - short) if first <= second else (room - short, short)
    whole = second if cut == "only_first" else first
    if whole > room:
        name = "second" if cut == "only_first" else "first"
        msg = f"the {name} text of input {index} has {whole} tokens, but the model has room for {room}; shorten it"
        raise InvalidInput(msg, index=index)
    return (room - whole, whole) if cut == "only_first" else (whole, room - whole)


def _ends(ids: Ids, length: int, side: Side) -> Ids:
    return ids[:length] if side == "right" else ids[len(ids) - length :]
