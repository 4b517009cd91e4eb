"""What an rpc computes: a message becomes an input and options, inputs of one kind are asked together, each gets its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from textmill.contract import Side
from textmill.errors import InvalidInput
from textmill.grpc.served import Model

I = TypeVar("I")  # noqa: E741 - an input
O = TypeVar("O")  # noqa: E741 - options
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_SIDES: tuple[Side, ...] = ("right", "left")

remembered = lru_cache(64)
"""For functions that make options: equal messages of a stream get the very same ones, without making them again."""


class Asking(Protocol[I, O, R_co]):
    """What messages ask, and how it is computed; a stream's messages may be asked many together."""

    @property
    def request(self) -> Any:
        """The class of its messages."""
        ...

    @property
    def free(self) -> bool:
        """Whether it needs no permit, as nothing is computed."""
        ...

    @property
    def together(self) -> int:
        """How many messages of a stream are asked in one call at most."""
        ...

    def read(self, message: Any) -> tuple[I, O]:
        """What a message asks; messages whose options are equal may be asked together. Raises InvalidInput."""
        ...

    async def ask(self, model: Model, inputs: Sequence[I], options: O) -> R_co:
        """Compute."""
        ...


class Verb(Asking[I, O, R], Protocol[I, O, R]):
    """A unary rpc, and also the bidirectional stream of the same messages: each is answered by one of its own."""

    def answer(self, made: R, index: int) -> bytes:
        """The message that answers one of the inputs, but for its metadata."""
        ...


def side_of(number: int) -> Side:
    """The end that a message wants cut, from its enum; raises InvalidInput for a number that is none."""
    if not 0 <= number < len(_SIDES):
        msg = f"truncation_direction is {number}; it can be 0 (right) or 1 (left)"
        raise InvalidInput(msg, param="truncation_direction")
    return _SIDES[number]


def optional(message: Any, field: str) -> Any:
    """The value of a field that the message has; None where it does not have it."""
    return getattr(message, field) if message.HasField(field) else None
