"""The headers about a call: how much was computed and where the time went."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.contract import Answered, Input, ModelInfo, Pair
from textmill.store.about import about


def timing_headers(
    info: ModelInfo, inputs: Sequence[Input | Pair], made: Answered, started: float
) -> tuple[tuple[str, str], ...]:
    """See `about`; characters are those of the inputs as they came."""
    return about(info, made, sum(map(_characters, inputs)), started)


def _characters(item: Input | Pair) -> int:
    """Characters of a text or a pair, or the number of ids."""
    return sum(len(part) if isinstance(part, str) else 1 for part in item) if isinstance(item, tuple) else len(item)
