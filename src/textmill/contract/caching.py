"""What a cache says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tier = Literal["memory", "disk"]
"""Where a cache keeps what was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierReport:
    """Values of a tier, the bytes that they take, and how many had to leave for others so far."""

    entries: int
    size: int
    evictions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """Rows that were found, by model and tier, and rows that were not, by model, since the process began; and its tiers now."""

    hits: Mapping[tuple[str, Tier], int]
    misses: Mapping[str, int]
    tiers: Mapping[Tier, TierReport]
