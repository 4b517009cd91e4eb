"""Counters, gauges and histograms in Prometheus' text format (version 0.0.4), with names exactly as given.

They are ours, as prometheus_client puts ``_total`` behind the name of every counter, which those of Text Embeddings Inference do not
have, and takes several times as long for a value. None is thread-safe by itself: `Telemetry` holds a lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Number:
    """One number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, count: float = 1) -> None:
        """Count."""
        self.value += count

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Its line."""
        yield f"{name}{{{labels}}} {_plain(self.value)}" if labels else f"{name} {_plain(self.value)}"


class Cells:
    """How many values lie at or below each bound, which ascend."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Take a value in, as often as said."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """A line for each bound, then the sum and the count."""
        before = f"{labels}," if labels else ""
        braces = f"{{{labels}}}" if labels else ""
        total = 0
        for bound, count in zip((*map(_plain, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{{before}le="{bound}"}} {total}'
        yield f"{name}_sum{braces} {_plain(self._sum)}"
        yield f"{name}_count{braces} {total}"


class _Shown(Protocol):
    def lines(self, name: str, labels: str) -> Iterator[str]: ...


C = TypeVar("C", bound=_Shown)


class Series(Generic[C]):
    """All that has one name: a number or cells for each combination of values of the labels; with no labels, one from the start."""

    def __init__(self, kind: str, name: str, text: str, labels: Sequence[str], make: Callable[[], C]) -> None:
        self.name = name
        self._kind = kind
        self._text = text
        self._labels = labels
        self._make = make
        self._children: dict[tuple[str, ...], C] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> C:
        """That of these values of the labels, which is shown from now on. Values must come from closed sets."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make()
        return child

    def forget(self, *values: str) -> None:
        """Show that of these values no more."""
        self._children.pop(values, None)

    def lines(self) -> Iterator[str]:
        """All of it in the text format."""
        if self._text:
            yield f"# HELP {self.name} {self._text}"
        yield f"# TYPE {self.name} {self._kind}"
        for values, child in self._children.items():
            pairs = (f'{label}="{_escaped(value)}"' for label, value in zip(self._labels, values, strict=True))
            yield from child.lines(self.name, ",".join(pairs))


def counter(name: str, *labels: str, text: str = "") -> Series[Number]:
    """A number that grows."""
    return Series("counter", name, text, labels, Number)


def gauge(name: str, *labels: str, text: str = "") -> Series[Number]:
    """A number that goes up and down."""
    return Series("gauge", name, text, labels, Number)


def histogram(name: str, bounds: Sequence[float], *labels: str, text: str = "") -> Series[Cells]:
    """Values by size."""
    return Series("histogram", name, text, labels, lambda: Cells(bounds))


def _plain(number: float) -> str:
    """A number without an exponent: those who compare labels as texts see what TEI shows them."""
    return str(int(number)) if number == int(number) else format(Decimal(repr(number)), "f")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
