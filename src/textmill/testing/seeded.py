"""Weights from a seed, by name and shape alone, and a folder that holds them as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from textmill.testing.checkpoints import write_json, write_safetensors


def seeded_tensors(
    shapes: Mapping[str, Sequence[int]], seed: int, *, around: float = 1.0
) -> dict[str, npt.NDArray[np.float32]]:
    """A float32 array for each name: the same for the same seed, name and shape, whatever stands beside it.

    Vectors that scale lie ``around`` 1, other vectors around 0; matrices keep the size of what they are multiplied with.
    """
    return {name: _tensor(name, tuple(shape), seed, around) for name, shape in shapes.items()}


def write_seeded(
    folder: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], seed: int, *, around: float = 1.0
) -> Path:
    """Write config.json and model.safetensors with `seeded_tensors`; returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_safetensors(folder / "model.safetensors", seeded_tensors(shapes, seed, around=around))
    return folder


def _tensor(name: str, shape: tuple[int, ...], seed: int, scales: float) -> npt.NDArray[np.float32]:
    values = np.random.default_rng([seed, crc32(name.encode())]).standard_normal(shape)
    if len(shape) < 2:  # noqa: PLR2004 - vectors and single numbers
        around = scales if name.endswith(("weight", "gamma")) else 0.0
        return np.asarray(around + 0.2 * values, np.float32)
    inputs = 16 if "embed" in name else int(np.prod(shape[1:]))
    return np.asarray(values / np.sqrt(inputs), np.float32)
