"""Floating-point numbers as Go writes them: as few digits as give the same number again."""

from __future__ import annotations

import math
from decimal import Decimal


def digits_of(number: float) -> tuple[str, int]:
    """The fewest digits of a finite number's size, and the power of ten of the first."""
    _, digits, exponent = Decimal(repr(abs(number))).as_tuple()
    text = "".join(map(str, digits)).lstrip("0") or "0"
    stripped = text.rstrip("0") or "0"
    return stripped, len(text) + int(exponent) - 1 if text != "0" else 0


def with_exponent(number: float, least: int = 2) -> str:
    """As ``1.5e+07``, the exponent with at least so many digits."""
    digits, power = digits_of(number)
    point = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{_sign(number)}{digits[0]}{point}e{'-' if power < 0 else '+'}{abs(power):0{least}d}"


def plain(number: float) -> str:
    """As ``15000000``, without an exponent."""
    digits, power = digits_of(number)
    if power < 0:
        return f"{_sign(number)}0.{'0' * (-power - 1)}{digits}"
    whole, rest = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{_sign(number)}{whole}{'.' + rest if rest else ''}"


def general(number: float, from_power: int = 6) -> str:
    """With an exponent where the number is smaller than 0.0001, or not smaller than that power of ten."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    _, power = digits_of(number)
    return plain(number) if -4 <= power < from_power else with_exponent(number)  # noqa: PLR2004 - as in Go's %v


def in_json(number: float) -> str:
    """As encoding/json writes a finite number."""
    if number == 0 or 1e-6 <= abs(number) < 1e21:  # noqa: PLR2004 - as ECMAScript has it
        return plain(number)
    return with_exponent(number, least=1 if abs(number) < 1 else 2)


def _sign(number: float) -> str:
    return "-" if math.copysign(1.0, number) < 0 else ""
