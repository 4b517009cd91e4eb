"""Linear layers in int8 from what their inputs were on sample rows; numpy alone.

Activations become unsigned bytes by one step for the whole tensor, weights signed bytes by a step for each output. What makes
that exact enough is done before: each input channel is shifted to the middle of its range and scaled so that the channels'
ranges come closer (SmoothQuant, Xiao et al., 2022, arXiv:2211.10438), channels with the widest ranges are parted in two where
their producer can be asked for it (outlier channel splitting, Zhao et al., 2019, arXiv:1901.09504), and the bias makes the
layer exact on the average of the samples (Nagel et al., 2019, arXiv:1906.04721).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ALPHA = 0.8
"""How much of a channel's range moves into the weights."""
MARGIN = 1.1
"""How much wider than seen the ranges are taken."""
SPLIT = 32
"""How many channels are parted."""
LIMIT = 1e-3
"""A layer whose error is a larger share of its output's variance stays as it is."""
LEVELS = 255
_SAMPLED = 4
"""The error is measured on every so-manieth token."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear layer of a program, by the order in which they are called: weight (out, in) and bias (out,), float32."""

    name: str
    weight: Floats
    bias: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Layers that share their input; ``after`` is the layer whose activation alone they read, where there is one."""

    layers: tuple[Linear, ...]
    after: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A layer in int8: ``weight`` (out, inputs) int8 times ``scales`` (out,), and ``bias`` (out,).

    Its input's channels go from ``low`` to ``high`` (inputs,) onto 0 to ``reach``, in 256 levels. Layers of one ``group`` share
    the quantised input.
    """

    weight: npt.NDArray[np.int8]
    scales: Floats
    bias: Floats
    low: Floats
    high: Floats
    reach: float
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The layers that run in int8, by name; and of those whose outputs are asked for more than once, which (outputs',)."""

    layers: Mapping[str, Quantized]
    repeats: Mapping[str, npt.NDArray[np.int64]]


@dataclass(slots=True, eq=False)
class Ranges:
    """What a group's input was: the least and the greatest of each channel, and its mean."""

    low: Floats
    high: Floats
    total: npt.NDArray[np.float64]
    count: int

    @classmethod
    def none(cls, channels: int) -> Ranges:
        """Nothing seen yet."""
        edge = np.full(channels, np.inf, np.float32)
        return cls(edge, -edge, np.zeros(channels), 0)

    def see(self, x: Floats, *, typical: bool) -> None:
        """Take (tokens, channels) in; only what is ``typical`` counts for the mean."""
        self.low, self.high = np.minimum(self.low, x.min(axis=0)), np.maximum(self.high, x.max(axis=0))
        if typical:
            self.total += x.sum(axis=0, dtype=np.float64)
            self.count += len(x)


class Draft:
    """A group's layers on their way to int8: quantised weights, and the error that the samples show."""

    def __init__(self, group: Group, ranges: Ranges) -> None:
        self._group = group
        self._mean = ranges.total / max(1, ranges.count)
        self._weight = np.concatenate([layer.weight for layer in group.layers])
        channels = len(ranges.low)
        largest = np.maximum(np.abs(self._weight).max(axis=0), 1e-5)
        self._place, low, high = np.arange(channels), ranges.low, ranges.high
        if group.after is not None:
            self._place, low, high = _parted(low, high, largest, min(SPLIT, channels))
        # Parts of one channel must meet exactly, so their ranges get no margin and all the same scale.
        parted = np.isin(self._place, self._place[channels:])
        half = np.maximum((high - low) / 2, 1e-5) * np.where(parted, 1, MARGIN)
        self._middle = ((low + high) / 2).astype(np.float32)
        scale = half**ALPHA / largest[self._place] ** (1 - ALPHA)
        scale /= scale.max()
        self._reach = float((half / scale).max())
        self._scale = np.where(parted, half / self._reach, scale).astype(np.float32)
        smooth = self._weight[:, self._place] * self._scale
        self._scales = (np.maximum(np.abs(smooth).max(axis=1), 1e-8) / 127).astype(np.float32)
        self._rounded = np.clip(np.rint(smooth / self._scales[:, None]), -127, 127).astype(np.int8)
        self._step = 2 * self._reach / LEVELS
        self._codes, self._seen = np.zeros(len(self._place)), 0
        self._error = _Variance(len(self._weight))
        self._output = _Variance(len(self._weight))

    def see(self, x: Floats) -> None:
        """Measure the error on (tokens, channels)."""
        codes = (x[:, self._place] - self._middle) / (self._scale * np.float32(self._step)) + np.float32(LEVELS / 2)
        codes = np.clip(np.rint(codes), 0, LEVELS)
        self._codes += codes.sum(axis=0, dtype=np.float64)
        self._seen += len(x)
        exact = x[::_SAMPLED] @ self._weight.T
        made = (codes[::_SAMPLED] * np.float32(self._step)) @ self._rounded.T.astype(np.float32) * self._scales
        self._error.see(made - exact)
        self._output.see(exact)

    @property
    def error(self) -> float:
        """The error's variance as a share of the output's."""
        return float(self._error.sum() / max(self._output.sum(), 1e-12))

    def layers(self) -> dict[str, Quantized]:
        """The layers in int8."""
        mean_code = self._codes / max(1, self._seen) * self._step
        correction = self._weight @ self._mean - (self._rounded.astype(np.float64) @ mean_code) * self._scales
        made, start = {}, 0
        for layer in self._group.layers:
            rows = slice(start, start + len(layer.weight))
            start = rows.stop
            bias = correction[rows] + (0 if layer.bias is None else layer.bias)
            made[layer.name] = Quantized(
                weight=self._rounded[rows],
                scales=self._scales[rows],
                bias=bias.astype(np.float32),
                low=self._middle - self._scale * np.float32(self._reach),
                high=self._middle + self._scale * np.float32(self._reach),
                reach=2 * self._reach,
                group=self._group.layers[0].name,
            )
        return made

    @property
    def repeats(self) -> dict[str, npt.NDArray[np.int64]]:
        """Which outputs of the layer before are asked for, where some are more than once."""
        return {} if self._group.after is None else {self._group.after: self._place}


@dataclass(slots=True, eq=False)
class _Variance:
    """The variance of each of some columns, from batches of rows."""

    columns: int
    squares: npt.NDArray[np.float64] = field(init=False)
    sums: npt.NDArray[np.float64] = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.squares, self.sums = np.zeros(self.columns), np.zeros(self.columns)

    def see(self, x: Floats) -> None:
        self.squares += (x.astype(np.float64) ** 2).sum(axis=0)
        self.sums += x.sum(axis=0, dtype=np.float64)
        self.count += len(x)

    def sum(self) -> float:
        count = max(1, self.count)
        return float((self.squares / count - (self.sums / count) ** 2).sum())


def plan_of(drafts: Sequence[Draft]) -> Plan:
    """The plan of all groups whose error is small enough."""
    kept = [draft for draft in drafts if draft.error <= LIMIT]
    layers = {name: layer for draft in kept for name, layer in draft.layers().items()}
    repeats = {name: place for draft in kept for name, place in draft.repeats.items()}
    return Plan(layers, repeats)


def _parted(low: Floats, high: Floats, largest: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Halve the widest part ``count`` times: the channel of each part, and its ends."""
    lows, highs, place = list(low), list(high), list(range(len(low)))
    for _ in range(count):
        widths = (np.array(highs) - np.array(lows)) * largest[place] ** 0.25
        widest = int(np.argmax(widths))
        middle = (lows[widest] + highs[widest]) / 2
        lows.append(middle)
        highs.append(highs[widest])
        place.append(place[widest])
        highs[widest] = middle
    return np.array(place), np.array(lows, np.float32), np.array(highs, np.float32)
