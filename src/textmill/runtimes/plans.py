"""Plans of int8 in files: a safetensors file each, written whole or not at all, and forgotten where it cannot be read."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from textmill.runtimes.quantization import Plan, Quantized

_log = logging.getLogger(__name__)

VERSION = "1"
"""Of the recipe and the file; plans of another one are made anew."""
_ARRAYS = ("weight", "scales", "bias", "low", "high")
_open: Any = safe_open  # the library's stub gives no types


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A plan, and the smallest cosine to float32 that it had."""

    plan: Plan
    cosine: float


def read_plan(path: Path) -> Kept | None:
    """The plan in a file; None where there is none, or none that can be used."""
    if not path.is_file():
        return None
    try:
        with _open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get("plan", "{}"))
            if facts.get("version") != VERSION:
                return None
            layers = {
                name: Quantized(
                    **{part: file.get_tensor(f"{name}/{part}") for part in _ARRAYS}, reach=reach, group=group
                )
                for name, (reach, group) in facts["layers"].items()
            }
            repeats = {name: file.get_tensor(f"{name}/repeat") for name in facts["repeats"]}
            return Kept(Plan(layers, repeats), facts["cosine"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        _log.warning("the kept int8 weights in %s cannot be used (%s); making them anew", path, error)
        return None


def write_plan(path: Path, kept: Kept) -> None:
    """Keep a plan. That it cannot be written is said and does no harm."""
    plan = kept.plan
    tensors: dict[str, np.ndarray[Any, Any]] = {
        f"{name}/{part}": np.ascontiguousarray(getattr(layer, part))
        for name, layer in plan.layers.items()
        for part in _ARRAYS
    }
    tensors |= {f"{name}/repeat": repeat for name, repeat in plan.repeats.items()}
    facts = {
        "version": VERSION,
        "cosine": kept.cosine,
        "layers": {name: (layer.reach, layer.group) for name, layer in plan.layers.items()},
        "repeats": list(plan.repeats),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata={"plan": json.dumps(facts)})
        part.replace(path)
    except (OSError, SafetensorError) as error:  # the library has an error of its own for a file that cannot be written
        _log.warning("the int8 weights cannot be kept in %s: %s", path, error)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
