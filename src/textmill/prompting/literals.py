"""Numbers, characters and texts as they are written in Go (https://go.dev/ref/spec#Literals)."""

from __future__ import annotations

import math
import re

from textmill.prompting.trouble import Trouble

_INTEGER = re.compile(
    r"([+-]?)(?:0[xX](_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)|0[bB](_?[01]+(?:_[01]+)*)|0[oO]?(_?[0-7]+(?:_[0-7]+)*)"
    r"|(0|[1-9][0-9]*(?:_[0-9]+)*))"
)
_BASES = (16, 2, 8, 10)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:_[0-9]+)*)?\.?(?:[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_LARGEST = (1 << 63) - 1
_LONGEST = 1000
"""Characters of a number; Python refuses to read very long ones."""


def number(text: str) -> int | float:
    """The value of a number; one with a point or an exponent is a float.

    Raises:
        Trouble: It is no number, does not fit into 64 bits, or is one with an imaginary part or a hexadecimal exponent.

    """
    match = _INTEGER.fullmatch(text)
    if match and len(text) <= _LONGEST:
        digits, base = next(
            (group, base) for group, base in zip(match.groups()[1:], _BASES, strict=True) if group is not None
        )
        value = int(digits.replace("_", ""), base)
        value = -value if match[1] == "-" else value
        if not -_LARGEST - 1 <= value <= _LARGEST:
            msg = f"{text} does not fit into 64 bits"
            raise Trouble(msg)
        return value
    if len(text) <= _LONGEST and _FLOAT.fullmatch(text) and not text.isdigit() and any(each.isdigit() for each in text):
        result = float(text.replace("_", ""))
        if math.isinf(result):
            msg = f"{text} is too large for a number"
            raise Trouble(msg)
        return result
    msg = f"{text[:40]} is not a number that templates understand, such as 3, -1.5 or 0x1f"
    raise Trouble(msg)


def string(text: str) -> str:
    """The value of a text in ``"`` or in backquotes.

    Raises:
        Trouble: It has an escape that Go does not know.

    """
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    return _unescape(text[1:-1], '"')


def character(text: str) -> int:
    """The number of the character in ``'``.

    Raises:
        Trouble: It is not exactly one character.

    """
    value = _unescape(text[1:-1], "'")
    if len(value) != 1:
        msg = f"{text} must be one character; put a text in double quotes"
        raise Trouble(msg)
    return ord(value)


def _unescape(text: str, quote: str) -> str:
    """Escapes of bytes stand for UTF-8, those that are none become U+FFFD."""
    parts: list[bytes] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        parts += (text[at : match.start()].encode("utf-8", "replace"), _escaped(match, quote))
        at = match.end()
    parts.append(text[at:].encode("utf-8", "replace"))
    return b"".join(parts).decode("utf-8", "replace")


def _escaped(match: re.Match[str], quote: str) -> bytes:
    byte, short, long, octal, simple = match.groups()
    if byte or (octal and int(octal, 8) < 1 << 8):
        return bytes([int(byte, 16) if byte else int(octal, 8)])
    code = int(short or long or "110000", 16)
    if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - the range of Unicode without surrogates
        return chr(code).encode()
    if simple == quote or simple in _SIMPLE:
        return _SIMPLE.get(simple, quote).encode()
    msg = f"{match.group()} is no escape; a backslash is written as \\\\"
    raise Trouble(msg)
