"""Counters and histograms in Prometheus' text format, with names exactly as given.

prometheus_client puts ``_total`` behind the name of every counter; the names of Text Embeddings Inference have none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal


class Counter:
    """A number that grows, or one for each of a closed set of ``values`` of a label. Not thread-safe."""

    def __init__(self, name: str, label: str = "", values: Sequence[str] = ("",)) -> None:
        self.name = name
        self._label = label
        self._counts = dict.fromkeys(values, 0)

    def add(self, count: int = 1, value: str = "") -> None:
        """Count. Raises KeyError for a value that is not of the set."""
        self._counts[value] += count

    def lines(self) -> Iterator[str]:
        """Its lines in the text format."""
        yield f"# TYPE {self.name} counter"
        for value, count in self._counts.items():
            yield f'{self.name}{{{self._label}="{value}"}} {count}' if self._label else f"{self.name} {count}"


class Histogram:
    """How many values lie at or below each bound, which ascend. Not thread-safe."""

    def __init__(self, name: str, bounds: Sequence[float]) -> None:
        self.name = name
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Take a value in, as often as said."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def lines(self) -> Iterator[str]:
        """Its lines in the text format."""
        yield f"# TYPE {self.name} histogram"
        total = 0
        for bound, count in zip((*map(_plain, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{self.name}_bucket{{le="{bound}"}} {total}'
        yield f"{self.name}_sum {_plain(self._sum)}"
        yield f"{self.name}_count {total}"


def _plain(number: float) -> str:
    """A number without an exponent: those who compare labels as texts see what TEI shows them."""
    return str(int(number)) if number == int(number) else format(Decimal(repr(number)), "f")
