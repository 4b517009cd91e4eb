"""Texts and token ids by a process's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textmill.contract import Token
from textmill.errors import ForwardFailed, InvalidInput
from textmill.providers.openai_wire import Wire

_BYTES_PER_TOKEN = 1
_SPECIAL = 8
"""Special tokens around a text at most."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens that a model's tokenizer puts around each text."""

    before: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()


async def tokenize(wire: Wire, text: str, *, special: bool = True) -> list[Token]:
    """The tokens of a text, their places in it unknown."""
    made = await wire.post(
        "/tokenize", {"content": text, "add_special": special, "parse_special": False, "with_pieces": True}
    )
    return [_token(each) for each in _rows(made)]


async def ids_of(wire: Wire, text: str) -> list[int]:
    """The ids of a text's tokens, with special ones around."""
    made = await wire.post("/tokenize", {"content": text, "add_special": True, "parse_special": False})
    return [int(each) for each in _rows(made)]


async def decode(wire: Wire, ids: Sequence[int]) -> str:
    """The text of ids."""
    made = await wire.post("/detokenize", {"tokens": list(ids)})
    return str(made.get("content", ""))


async def frame_of(wire: Wire) -> Frame:
    """What stands around each text, from an empty one and a short one."""
    nothing, short = await ids_of(wire, ""), await ids_of(wire, "x")
    before = 0
    while before < len(nothing) and nothing[before] == short[before]:
        before += 1
    return Frame(tuple(nothing[:before]), tuple(nothing[before:]))


def may_be_long(text: str, most: int) -> bool:
    """Whether a text could have more than ``most`` tokens: each is of one byte at least."""
    return len(text) + _SPECIAL > most or len(text.encode()) + _SPECIAL > most * _BYTES_PER_TOKEN


def cut(ids: Sequence[int], most: int, frame: Frame, side: str) -> list[int]:
    """Ids with special tokens around, cut to ``most`` between these."""
    before, behind = len(frame.before), len(frame.behind)
    body = list(ids[before : len(ids) - behind])
    left = max(0, most - before - behind)
    kept = body[:left] if side == "right" else body[len(body) - left :]
    return [*frame.before, *kept, *frame.behind]


def checked(ids: Sequence[int], index: int, vocabulary: int) -> list[int]:
    """Ids that are the model's own; raises InvalidInput for others, and for none."""
    if not len(ids):
        msg = f"input {index} is an empty list of token ids"
        raise InvalidInput(msg, index=index)
    if any(isinstance(each, bool) or not 0 <= each < vocabulary for each in ids):
        msg = (
            f"input {index} has a token id that is none of this model's: they are whole numbers from 0 to {vocabulary - 1}. "
            "Clients that tokenise by another model's vocabulary can be told not to: check_embedding_ctx_length=False"
        )
        raise InvalidInput(msg, index=index)
    return [int(each) for each in ids]


def _rows(made: dict[str, Any]) -> list[Any]:
    rows = made.get("tokens")
    if not isinstance(rows, list):
        msg = "llama.cpp gave no tokens"
        raise ForwardFailed(msg)
    return rows


def _token(row: Any) -> Token:
    piece = row["piece"]
    text = piece if isinstance(piece, str) else bytes(piece).decode(errors="replace")
    return Token(int(row["id"]), text, special=False, start=None, stop=None)
