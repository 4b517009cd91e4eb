"""Texts of options become values of llama.cpp's parameters; each reader raises ConfigInvalid, naming the option and its text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from textmill.errors import ConfigInvalid

Value = bool | int | float | str | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
Reader = Callable[[str, str], Value]
"""Takes an option's name and its text."""

_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on", "enabled", "enable"), True),
    **dict.fromkeys(("false", "0", "no", "off", "disabled", "disable"), False),
}
_DEVICE = re.compile(r"(?:[a-z_]+[.:]?)?(\d+)", re.IGNORECASE)
_MB = 1 << 20


def wrong(name: str, text: object, what: str) -> ConfigInvalid:
    """The error of an option that has to be something else."""
    return ConfigInvalid(f"{name} is {text!r}; it has to be {what}")


def switch(name: str, text: str) -> bool:
    """True or false, in any of LocalAI's words."""
    try:
        return _WORDS[text.strip().lower()]
    except KeyError:
        raise wrong(name, text, "true or false") from None


def unless(name: str, text: str) -> bool:
    """The opposite of `switch`."""
    return not switch(name, text)


def whole(low: int, high: int = 2**31 - 1) -> Reader:
    """A whole number from ``low`` to ``high``."""

    def read(name: str, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise wrong(name, text, f"a whole number from {low} to {high}")
        return number

    return read


def number(low: float = -math.inf, high: float = math.inf) -> Reader:
    """A number from ``low`` to ``high``."""

    def read(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            raise wrong(name, text, f"a number from {low:g} to {high:g}" if math.isfinite(low + high) else "a number")
        return value

    return read


def one_of(words: Mapping[str, str]) -> Reader:
    """The member of an enumeration that a word stands for."""

    def read(name: str, text: str) -> str:
        try:
            return words[text.strip().lower()]
        except KeyError:
            raise wrong(name, text, f"one of {', '.join(words)}") from None

    return read


def several_of(words: Mapping[str, str]) -> Reader:
    """The members of an enumeration that words with commas between them stand for."""
    read = one_of(words)
    return lambda name, text: tuple(str(read(name, each)) for each in text.split(","))


def text_of(name: str, text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise wrong(name, text, "a text that is not empty")
    return text


def shares(name: str, text: str) -> tuple[float, ...]:
    """Shares of several devices, such as 0.6,0.4."""
    read = number(0.0)
    found = tuple(float(str(read(name, each))) for each in text.replace("/", ",").split(","))
    if not any(found):
        raise wrong(name, text, "shares of which one is more than 0")
    return found


def megabytes(name: str, text: str) -> tuple[int, ...]:
    """Bytes of MiB, one for each device or one for all."""
    read = whole(0)
    return tuple(int(str(read(name, each))) * _MB for each in text.split(","))


def device(name: str, text: str) -> int:
    """The number of a device: 1, cuda:1, cuda.1 or CUDA1; 0 where a name has none."""
    found = _DEVICE.fullmatch(text.strip())
    if found is None and not text.strip().isalpha():
        raise wrong(name, text, "a device's number, such as 1 or cuda:1")
    return int(found[1]) if found is not None else 0


def experts_of(layers: int | None) -> str:
    """The rule that keeps the experts of so many layers, or of all, in the memory of the CPU."""
    tensors = r"ffn_(up|down|gate|gate_up)_(ch|)exps"
    rules = [rf"\.{tensors}"] if layers is None else [rf"blk\.{layer}\.{tensors}" for layer in range(layers)]
    return ",".join(f"{rule}=CPU" for rule in rules)


def workers(name: str, text: str) -> str:
    """Addresses of llama.cpp's workers, HOST:PORT with commas between them."""
    parts = [each.strip() for each in text.split(",") if each.strip()]
    for each in parts:
        host, _, port = each.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise wrong(name, text, "addresses such as host:50052,other:50052")
    return ",".join(parts)
