"""What a server and the process of an OpenVINO GenAI model tell each other: frames of MessagePack over the process's own pipes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import IO

import msgspec

_HEAD = struct.Struct("<I")


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """What a text has to be: a ``tag`` is a structural tag of xgrammar as JSON, a ``grammar`` words of its EBNF, which GBNF is a part of."""

    kind: str
    text: str


class Open(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Load the model of a folder. ``tokens`` are the bytes of each token, none for those that no grammar may have.

    ``rows`` texts are written at the same time, ``part`` tokens computed in a step at most; a text with its prompt has ``context`` tokens.
    """

    folder: str
    device: str
    properties: Mapping[str, str | int]
    tokens: Sequence[bytes]
    ends: Sequence[int]
    context: int
    rows: int
    part: int


class Add(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Write texts behind a prompt, one for each of the ``seeds``, of at most ``limit`` tokens.

    ``sampling`` are GenerationConfig's values, whole numbers as int: it takes no float for them.
    """

    call: int
    ids: Sequence[int]
    limit: int
    seeds: Sequence[int]
    sampling: Mapping[str, int | float | bool]
    ignore_eos: bool
    logprobs: bool
    rule: Rule | None


class Leave(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Let go of a choice, of all choices of a call where it is None."""

    call: int
    choice: int | None


class Opened(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The model is loaded: what it runs on, how wide its logits are, and its precision."""

    device: str
    vocabulary: int
    precision: str
    note: str = ""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The model is not loaded, and why; ``asked``: by what its file asks for, not by what it is."""

    reason: str
    asked: bool


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A call cannot be; ``param`` is the part of the request that is wrong."""

    call: int
    reason: str
    param: str | None


class Wrote(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A choice has more tokens; with the first ones ``prompt_s`` says how long the prompt took. ``logprobs`` are empty unless asked for."""

    call: int
    choice: int
    ids: Sequence[int]
    logprobs: Sequence[float]
    prompt_s: float


class Dropped(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A call ended before it was over, and why."""

    call: int
    reason: str


class Broken(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A step failed: nothing more comes."""

    reason: str


class Steps(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What came of a step; of one that takes long, that there was one."""

    events: Sequence[Wrote | Refused | Dropped]


Order = Open | Add | Leave
Answer = Opened | Failed | Steps | Broken


def write_frame(stream: IO[bytes], message: Order | Answer) -> None:
    """Write a message; raises OSError and ValueError where nobody reads any more."""
    body = msgspec.msgpack.encode(message)
    stream.write(_HEAD.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next message, not decoded; None at the end."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (size,) = _HEAD.unpack(head)
    body = stream.read(size)
    return body if len(body) == size else None
