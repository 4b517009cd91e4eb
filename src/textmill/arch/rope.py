"""Rotary positions as config.json describes them: which frequencies, and how they are stretched for longer rows.

transformers 5 writes `rope_parameters`, flat or one a layer type; before, `rope_theta` and `rope_scaling` said the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from textmill.arch.config import refuse
from textmill.arch.positions import Angles, Rotation
from textmill.errors import ModelBroken

THETA = 10_000.0
"""The base of the frequencies where neither config.json nor the architecture names one."""


class RopeKeys(Protocol):
    """The keys of config.json that say how positions rotate."""

    @property
    def max_position_embeddings(self) -> int:
        """The longest row before scaling; also what scalings fall back on."""
        ...

    @property
    def rope_theta(self) -> float | None:
        """The base, in the spelling before transformers 5."""
        ...

    @property
    def rope_scaling(self) -> Mapping[str, Any] | None:
        """The scaling, in the spelling before transformers 5."""
        ...

    @property
    def rope_parameters(self) -> Mapping[str, Any] | None:
        """Base and scaling together, or a mapping of them for each layer type."""
        ...


def rotation(
    config: RopeKeys,
    width: int,
    *,
    theta: float = THETA,
    layer_type: str | None = None,
    partial: float | None = None,
) -> Rotation:
    """The rotation of heads of ``width`` features, in layers of ``layer_type`` where that makes a difference.

    ``theta`` and ``partial`` (the share of features that rotates) hold where the rotation's own keys do not name them. Raises
    ModelBroken, naming the key, for a scaling that textmill does not run and for one that lacks a value.
    """
    key = "rope_scaling" if config.rope_scaling else "rope_parameters"
    values = _of_layers(config.rope_scaling or config.rope_parameters or {}, key, layer_type)
    kind = values.get("rope_type") or values.get("type") or "default"
    if kind not in _SCALINGS:
        refuse(f"{key}.rope_type", kind, ", ".join(map(repr, _SCALINGS)))
    settings = _Settings(values, key)
    base = settings.number("rope_theta", config.rope_theta or theta)
    turned = int(width * settings.number("partial_rotary_factor", 1.0 if partial is None else partial))
    if base <= 0:
        refuse(f"{key}.rope_theta", base, "bases above zero")
    if turned % 2 or not 0 < turned <= width:
        msg = f"config.json makes {turned} of a head's {width} features rotate; it must be an even number of them"
        raise ModelBroken(msg)
    return _SCALINGS[kind](settings, base, turned, config.max_position_embeddings)


def frequencies(base: float, width: int) -> Angles:
    """``base ** (-2 i / width)`` for the pairs i of ``width`` features, float32 (Su et al., 2021, arXiv:2104.09864)."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    turns: Angles = np.float32(1) / np.float32(base) ** exponents
    return turns


def by_length(base: float, width: int, factor: float, positions: int) -> Callable[[int], Angles]:
    """Dynamic NTK scaling: rows longer than ``positions`` raise the base so that the slowest pair spans them."""

    def stretched(tokens: int) -> Angles:
        growth = np.float32(factor * max(tokens, positions) / positions) - np.float32(factor - 1)
        return frequencies(float(np.float32(base) * growth ** np.float32(width / max(width - 2, 1))), width)

    return stretched


@dataclass(frozen=True, slots=True)
class _Settings:
    """The numbers under one key of config.json."""

    values: Mapping[str, Any]
    key: str

    def number(self, name: str, default: float | None = None) -> float:
        """The number of that name, null counting as absent; raises ModelBroken where there is none."""
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"config.json says {self.key}.{name} {value!r}; {self.values.get('rope_type', 'this')} scaling needs a number"
            raise ModelBroken(msg)
        return value


def _of_layers(values: Mapping[str, Any], key: str, layer_type: str | None) -> Mapping[str, Any]:
    """The values themselves, or those of a layer type where they are kept by it."""
    if not values or not all(value is None or isinstance(value, Mapping) for value in values.values()):
        return values
    of_type = values.get(layer_type or "full_attention")
    if of_type is None:
        msg = (
            f"config.json says {key} for {', '.join(map(repr, values))}, but not for {layer_type or 'full_attention'!r}"
        )
        raise ModelBroken(msg)
    chosen: Mapping[str, Any] = of_type
    return chosen


def _default(_settings: _Settings, base: float, width: int, _positions: int) -> Rotation:
    return Rotation(frequencies(base, width))


def _linear(settings: _Settings, base: float, width: int, _positions: int) -> Rotation:
    """Positions divided by the factor (Chen et al., 2023, arXiv:2306.15595)."""
    return Rotation(frequencies(base, width) / np.float32(settings.number("factor")))


def _dynamic(settings: _Settings, base: float, width: int, positions: int) -> Rotation:
    stretched = by_length(base, width, settings.number("factor"), positions)
    return Rotation(stretched(positions), by_length=stretched)


def _yarn(settings: _Settings, base: float, width: int, positions: int) -> Rotation:
    """Slow pairs divided by the factor, fast ones kept, those between mixed (Peng et al., 2023, arXiv:2309.00071)."""
    original = settings.number("original_max_position_embeddings", positions)
    factor = settings.number("factor", positions / original)
    low = _pair_of(settings.number("beta_fast", 32) or 32, base, width, original)
    high = _pair_of(settings.number("beta_slow", 1) or 1, base, width, original)
    if settings.values.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    span = high - low or 0.001  # a step instead of a slope
    slow = np.clip((np.arange(width // 2, dtype=np.float32) - np.float32(low)) / np.float32(span), 0, 1)
    kept = frequencies(base, width)
    mixed = kept / np.float32(factor) * slow + kept * (1 - slow)
    return Rotation(mixed.astype(np.float32), scale=_yarn_scale(settings, factor))


def _pair_of(turns: float, base: float, width: int, positions: float) -> float:
    """Which pair, as a fraction, makes that many turns over the positions."""
    return width * math.log(positions / (turns * 2 * math.pi)) / (2 * math.log(base))


def _yarn_scale(settings: _Settings, factor: float) -> float:
    def grown(by: float) -> float:
        return 0.1 * by * math.log(factor) + 1 if factor > 1 else 1.0

    if settings.values.get("attention_factor") is not None:
        return settings.number("attention_factor")
    over, under = settings.number("mscale", 0), settings.number("mscale_all_dim", 0)
    return grown(over) / grown(under) if over and under else grown(1)


def _llama3(settings: _Settings, base: float, width: int, positions: int) -> Rotation:
    """Waves longer than the old context divided by the factor, short ones kept, those between mixed (Llama 3.1)."""
    original = settings.number("original_max_position_embeddings", positions)
    factor = settings.number("factor")
    low, high = settings.number("low_freq_factor"), settings.number("high_freq_factor")
    if high <= low:
        refuse(f"{settings.key}.high_freq_factor", high, f"more than low_freq_factor {low}")
    turns = frequencies(base, width)
    waves = 2 * np.float32(math.pi) / turns
    kept = np.clip((original / waves - low) / (high - low), 0, 1)
    return Rotation((turns / factor * (1 - kept) + turns * kept).astype(np.float32))


_SCALINGS: Mapping[str, Callable[[_Settings, float, int, int], Rotation]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "llama3": _llama3,
}
