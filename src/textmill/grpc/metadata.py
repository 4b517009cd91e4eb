"""What is said about a computed call in its answer: the message `Metadata`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from textmill.contract import Answered
from textmill.grpc.messages import EmbedResponse, Metadata

_NS = 1_000_000_000


def metadata_message(made: Answered, tokens: int, characters: int, started: float) -> Any:
    """The message `Metadata`, times in nanoseconds: of an answer, or of one input of those computed together."""
    return Metadata(
        compute_chars=characters,
        compute_tokens=tokens,
        total_time_ns=round((time.perf_counter() - started) * _NS),
        tokenization_time_ns=round(made.timings.tokenize * _NS),
        queue_time_ns=round(made.timings.queue * _NS),
        inference_time_ns=round(made.timings.inference * _NS),
    )


def metadata_field(made: object, index: int, characters: int, started: float) -> bytes:
    """`Metadata` of one input as the field 2 that it is in every answer, to stand behind the others; nothing where none was computed."""
    if not isinstance(made, Answered):
        return b""
    field: bytes = EmbedResponse(
        metadata=metadata_message(made, made.tokens[index], characters, started)
    ).SerializeToString()
    return field


def characters_of(item: str | Sequence[object]) -> int:
    """Characters of a text or of a pair, or how many ids."""
    return sum(map(len, item)) if isinstance(item, tuple) else len(item)
