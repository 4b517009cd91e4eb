"""TEI's headers about a call: how much was computed and where the time went."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textmill.contract import Answered, Input, ModelInfo, Pair

_TOLD = 256
"""Inputs of which a header tells one by one; proxies take heads of a few kilobytes."""


def timing_headers(
    info: ModelInfo, inputs: Sequence[Input | Pair], made: Answered, started: float
) -> tuple[tuple[str, str], ...]:
    """The eight headers, times in whole milliseconds, and those of ours.

    ``x-compute-type`` names the device that computed; TEI says gpu everywhere. ``x-model-fingerprint`` tells which vectors
    may share an index. ``x-input-tokens`` has each input's tokens, where they are few inputs; ``x-truncated-inputs``, how many were
    cut, and ``x-truncated-indices``, which, are there only where some were.
    """
    total = str(round((time.perf_counter() - started) * 1000))
    headers: tuple[tuple[str, str], ...] = (
        ("x-compute-type", f"{info.device}+optimized"),
        ("x-compute-time", total),
        ("x-compute-characters", str(sum(map(_characters, inputs)))),
        ("x-compute-tokens", str(sum(made.tokens))),
        ("x-total-time", total),
        ("x-tokenization-time", str(round(made.timings.tokenize * 1000))),
        ("x-queue-time", str(round(made.timings.queue * 1000))),
        ("x-inference-time", str(round(made.timings.inference * 1000))),
        ("x-model-fingerprint", info.fingerprint),
    )
    if len(made.tokens) <= _TOLD:
        headers = (*headers, ("x-input-tokens", ",".join(map(str, made.tokens))))
    if not (cut := [index for index, truncated in enumerate(made.truncated) if truncated]):
        return headers
    places = ",".join(map(str, cut[:_TOLD]))
    return (*headers, ("x-truncated-inputs", str(len(cut))), ("x-truncated-indices", places))


def _characters(item: Input | Pair) -> int:
    """Characters of a text or a pair, or the number of ids."""
    return sum(len(part) if isinstance(part, str) else 1 for part in item) if isinstance(item, tuple) else len(item)
