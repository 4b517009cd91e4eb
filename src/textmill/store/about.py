"""What is said about a computed call: HTTP's headers, and the initial metadata of a gRPC call."""

from __future__ import annotations

import time

from textmill.contract import Answered, ModelInfo
from textmill.telemetry.request import note_characters

FINGERPRINT = "x-model-fingerprint"
_TOLD = 256
"""Inputs of which one by one is told; proxies take heads of a few kilobytes."""


def about(info: ModelInfo, made: Answered, characters: int, started: float) -> tuple[tuple[str, str], ...]:
    """TEI's eight pairs, times in whole milliseconds, and those of ours; ``started`` is of `time.perf_counter`.

    ``x-compute-type`` names the device that computed; TEI says gpu everywhere. ``x-model-fingerprint`` tells which vectors
    may share an index. ``x-input-tokens`` has each input's tokens, where they are few inputs; ``x-cached-inputs``, how many came from the cache, ``x-truncated-inputs``, how many were
    cut, and ``x-truncated-indices``, which, are there only where some were. The request's line in the log gets the characters too.
    """
    note_characters(characters)
    total = str(round((time.perf_counter() - started) * 1000))
    pairs: tuple[tuple[str, str], ...] = (
        ("x-compute-type", f"{info.device}+optimized"),
        ("x-compute-time", total),
        ("x-compute-characters", str(characters)),
        ("x-compute-tokens", str(sum(made.tokens))),
        ("x-total-time", total),
        ("x-tokenization-time", str(round(made.timings.tokenize * 1000))),
        ("x-queue-time", str(round(made.timings.queue * 1000))),
        ("x-inference-time", str(round(made.timings.inference * 1000))),
        (FINGERPRINT, info.fingerprint),
    )
    if len(made.tokens) <= _TOLD:
        pairs = (*pairs, ("x-input-tokens", ",".join(map(str, made.tokens))))
    if made.cached:
        pairs = (*pairs, ("x-cached-inputs", str(made.cached)))
    if not (cut := [index for index, truncated in enumerate(made.truncated) if truncated]):
        return pairs
    places = ",".join(map(str, cut[:_TOLD]))
    return (*pairs, ("x-truncated-inputs", str(len(cut))), ("x-truncated-indices", places))
