"""What a device of a model file means to OpenVINO GenAI: one device, by its name or chosen among those that are there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textmill.errors import ConfigInvalid

_NAME = re.compile(r"(?:CPU|GPU)(?:\.\d+)?")
_KNOWN = re.compile(r"(?:CPU|GPU|NPU)(?:\.\d+)?")
_FORMS = "CPU, GPU, GPU.1, AUTO, AUTO:-CPU and AUTO:GPU,CPU"
_ORDER = ("GPU", "CPU")
"""What AUTO takes first."""


def device_of(wanted: str, there: Sequence[str]) -> tuple[str, str]:
    """The device to run on, of those that are ``there``, and a sentence where it is not what was wanted, else an empty text.

    AUTO takes the first GPU, and the CPU where there is none; ``AUTO:-CPU`` leaves devices out, ``AUTO:GPU.1,CPU`` names them in their
    order. Raises ConfigInvalid for a device that is not there, and for what is none.
    """
    word = wanted.strip().upper() or "AUTO"
    if word.startswith(("CUDA", "MPS", "XPU")):
        msg = f"main_gpu is {wanted!r}, and OpenVINO runs on no such device; it can be {_FORMS}; AutoModelForCausalLM runs on CUDA"
        raise ConfigInvalid(msg)
    kind, _, rest = word.partition(":")
    if kind == "AUTO":
        return _auto(wanted, [part.strip() for part in rest.split(",") if part.strip()], there)
    if not _NAME.fullmatch(word):
        instead = "; continuous batching needs a CPU or a GPU" if word.startswith("NPU") else ""
        msg = f"main_gpu is {wanted!r}, which is no device to write on; it can be {_FORMS}{instead}"
        raise ConfigInvalid(msg)
    found = _found(word, there)
    if found is None:
        msg = (
            f"main_gpu is {wanted!r}, and OpenVINO has {', '.join(there)} here; its GPU driver finds Intel's GPUs only"
        )
        raise ConfigInvalid(msg)
    return found, ""


def _auto(wanted: str, parts: Sequence[str], there: Sequence[str]) -> tuple[str, str]:
    wrong = [part for part in parts if not _KNOWN.fullmatch(part.removeprefix("-"))]
    if wrong:
        msg = f"main_gpu is {wanted!r}, and {wrong[0]!r} is no device of OpenVINO; it can be {_FORMS}"
        raise ConfigInvalid(msg)
    left_out = {part[1:] for part in parts if part.startswith("-")}
    named = [part for part in parts if not part.startswith("-")] or list(_ORDER)
    able = [each for each in there if _NAME.fullmatch(each) and not any(_is(each, out) for out in left_out)]
    for name in named:
        if (found := _found(name, able)) is not None:
            return found, ""
    return "CPU", f"main_gpu is {wanted!r}, and OpenVINO has {', '.join(there)} here; the CPU is taken"


def _found(name: str, there: Sequence[str]) -> str | None:
    """The device of that name; GPU is the first GPU, and GPU.0 is so too where there is one."""
    return next((each for each in there if _is(each, name)), None) or (
        next((each for each in there if each == "GPU"), None) if name == "GPU.0" else None
    )


def _is(device: str, name: str) -> bool:
    return device == name or device.partition(".")[0] == name
